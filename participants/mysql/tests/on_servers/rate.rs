//! How fast it is, for a look: `cargo test --test on_servers -- --ignored --nocapture rate`.

use std::time::{Duration, Instant};

use tandem_participant::Participant;

use crate::stand::{Stand, column, commit, in_doubt, prepared, roll_back, tx};

const RUN: Duration = Duration::from_secs(4);

pub(crate) async fn prepare_and_commit_per_second(stand: Stand) {
    let participant = stand.enlisted().await;
    let server = participant.describe().await.unwrap().server;
    let mut sequence = 0;
    let mut rows = 0;
    for size in [1_u32, 8, 64, 128] {
        let begun = Instant::now();
        let mut transactions = 0_u32;
        while begun.elapsed() < RUN {
            sequence += 1;
            transactions += 1;
            let ids: Vec<String> = (0..size).map(|n| format!("p{sequence}-{n}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            prepared(&participant, &tx(sequence), &ids).await;
            commit(&participant, &tx(sequence), &ids).await.unwrap();
        }
        let rate = f64::from(transactions) / begun.elapsed().as_secs_f64();
        rows += transactions * size;
        eprintln!(
            "{server} {:?}: {size} entries: {rate:.0} transactions/s, {:.0} purchases/s",
            stand.world,
            rate * f64::from(size)
        );
    }
    let begun = Instant::now();
    let mut transactions = 0_u32;
    while begun.elapsed() < RUN {
        sequence += 1;
        transactions += 1;
        prepared(&participant, &tx(sequence), &["aborted"]).await;
        roll_back(&participant, &tx(sequence)).await.unwrap();
    }
    let rate = f64::from(transactions) / begun.elapsed().as_secs_f64();
    eprintln!(
        "{server} {:?}: {rate:.0} roll backs/s of 1 entry",
        stand.world
    );
    let mut hand = stand.hand().await;
    let count = "SELECT COUNT(*) FROM purchases";
    assert_eq!(column(&mut hand, count).await, [rows.to_string()]);
    assert!(in_doubt(&participant).await.is_empty());
}
