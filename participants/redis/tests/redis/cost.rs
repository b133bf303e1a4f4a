//! What a transaction costs the server, said on standard error; bounds catch only a collapse.

use std::time::{Duration, Instant};

use tandem_participant::Participant;

use crate::place::{PLACES, Place, command};
use crate::stage::{Stage, commit, enlist, member, on_each_server, prepare, refused, say};

async fn memory(stage: &Stage) -> i64 {
    let info: String = stage.cli("INFO memory").await;
    let line = info.lines().find(|line| line.starts_with("used_memory:"));
    line.unwrap()
        .split(':')
        .nth(1)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// The server's own time for a script, in microseconds, since the last CONFIG RESETSTAT.
async fn script_micros(stage: &Stage) -> String {
    let info: String = stage.cli("INFO commandstats").await;
    let line = info
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"));
    let word = |word: &&str| word.starts_with("usec_per_call");
    line.unwrap().split(',').find(word).unwrap().to_owned()
}

/// Seconds of a processor that the server has used.
async fn cpu_seconds(stage: &Stage) -> f64 {
    let info: String = stage.cli("INFO cpu").await;
    let used = ["used_cpu_sys:", "used_cpu_user:"];
    let seconds = |line: &str| {
        used.iter()
            .find_map(|name| line.strip_prefix(name)?.parse::<f64>().ok())
    };
    info.lines().filter_map(seconds).sum::<f64>()
}

#[tokio::test]
async fn the_largest_transaction_stays_far_below_the_busy_limit() {
    on_each_server(async |stage| {
        for (number, place) in PLACES.into_iter().enumerate() {
            largest(stage, place, &format!("shop.1.{number}")).await;
        }
    })
    .await;
}

async fn largest(stage: &Stage, place: Place, id: &str) {
    let shop = stage.participant(|settings| place.say(settings));
    let skus: Vec<String> = (0..12_800).map(|n| format!("sku-{n}")).collect();
    for batch in skus.chunks(1_000) {
        let mut commands = redis::pipe();
        for sku in batch {
            commands.add_command(command(&place.set(sku, "9"))).ignore();
        }
        let () = commands.query_async(&mut stage.raw().await).await.unwrap();
    }
    let carts: Vec<Vec<(&str, u32)>> = skus
        .chunks(100)
        .map(|cart| cart.iter().map(|sku| (sku.as_str(), 2)).collect())
        .collect();
    let carts: Vec<&[(&str, u32)]> = carts.iter().map(Vec::as_slice).collect();
    let began = Instant::now();
    let voted = shop.prepare(&prepare(id, &carts)).await.unwrap();
    assert_eq!(refused(&voted.vote), []);
    let prepared = began.elapsed();
    let began = Instant::now();
    let done = shop.commit(&commit(id, &carts)).await.unwrap();
    assert_eq!(done.debts, []);
    let committed = began.elapsed();
    say(&format!(
        "{}, {place:?}: 12,800 stocks: prepare {prepared:?}, commit {committed:?}",
        stage.server.binary()
    ));
    let last = shop.stock("sku-12799").await.unwrap().unwrap();
    assert_eq!((last.value, last.holds.len()), (Some(7), 0));
    stage.assert_quiet().await;
    // Hashes are written one by one, and the limit is 5 s a script.
    let limit = if place == Place::Products { 4 } else { 2 };
    assert!(prepared + committed < Duration::from_secs(limit));
}

#[tokio::test]
async fn a_group_costs_a_few_milliseconds_and_its_memory_some_bytes() {
    on_each_server(async |stage| {
        let skus: Vec<String> = (0..200).map(|n| format!("sku-{n}")).collect();
        for sku in &skus {
            let () = stage.cli(&format!("SET stock:{sku} 1000000")).await;
        }
        let carts: Vec<[(&str, u32); 2]> = (0..64)
            .map(|n| [(skus[n].as_str(), 1), (skus[n + 64].as_str(), 1)])
            .collect();
        let carts: Vec<&[(&str, u32)]> = carts.iter().map(|cart| cart.as_slice()).collect();
        const ROUNDS: u32 = 100;
        let (mut preparing, mut committing) = (Duration::ZERO, Duration::ZERO);
        for n in 0..ROUNDS {
            let id = format!("shop.1.{n}");
            let (promise, decision) = (prepare(&id, &carts), commit(&id, &carts));
            let began = Instant::now();
            stage.participant.prepare(&promise).await.unwrap();
            preparing += began.elapsed();
            let began = Instant::now();
            stage.participant.commit(&decision).await.unwrap();
            committing += began.elapsed();
        }

        let script = script_micros(stage).await;

        const HELD: i64 = 1_000;
        let before = memory(stage).await;
        for n in 1..=HELD {
            stage.prepare(&format!("shop.2.{n}"), &carts[..1]).await;
        }
        let holding = (memory(stage).await - before) / HELD;
        for n in 1..=HELD {
            stage.roll_back(&format!("shop.2.{n}")).await;
        }

        // As many as a day of small traffic; the members are put in as the script would.
        let before = memory(stage).await;
        const REMEMBERED: u64 = 100_000;
        let mut raw = stage.raw().await;
        for first in (1..=REMEMBERED).step_by(1_000) {
            let members: Vec<(u64, String)> = (first..first + 1_000)
                .map(|n| (0, member(&format!("shop.3.{n}"))))
                .collect();
            let () = redis::cmd("ZADD")
                .arg("tandem:committed:shop:stock")
                .arg(members)
                .query_async(&mut raw)
                .await
                .unwrap();
        }
        let remembered = (memory(stage).await - before) / REMEMBERED as i64;
        let began = Instant::now();
        stage.forget("shop.3.100001", &[]).await;
        let forgetting = began.elapsed();
        // The newest commit stays: it tells a stale log.
        assert_eq!(
            stage.cli::<i64>("ZCARD tandem:committed:shop:stock").await,
            1
        );
        say(&format!(
            "{}: 64 entries of 2 items: prepare {:?}, commit {:?}, of it {script} in a \
             script; {holding} bytes while held (1 \
             entry of 2 items), {remembered} bytes remembered; forgetting {REMEMBERED}: \
             {forgetting:?}",
            stage.server.binary(),
            preparing / ROUNDS,
            committing / ROUNDS,
        ));
        assert!(
            remembered < 200,
            "{remembered} bytes for each transaction remembered"
        );
        assert!((preparing + committing) / ROUNDS < Duration::from_millis(100));
    })
    .await;
}

/// One unit of one of so many skus in each purchase, as `tests/bench` buys.
async fn buy_in_groups(stage: &Stage, place: Place, skus: &[String], size: usize) {
    let shop = stage.participant(|settings| place.say(settings));
    shop.enlist(&enlist("shop", "log-a", 1, "i")).await.unwrap();
    let groups = (8_192 / size).min(1_000);
    let before = cpu_seconds(stage).await;
    for group in 0..groups {
        let sku = |n: usize| skus[(group * size + n) * 7_919 % skus.len()].as_str();
        let carts: Vec<[(&str, u32); 1]> = (0..size).map(|n| [(sku(n), 1)]).collect();
        let carts: Vec<&[(&str, u32)]> = carts.iter().map(|cart| cart.as_slice()).collect();
        let id = format!("shop.1.{group}");
        let voted = shop.prepare(&prepare(&id, &carts)).await.unwrap();
        assert_eq!(refused(&voted.vote), []);
        let committed = shop.commit(&commit(&id, &carts)).await.unwrap();
        assert_eq!(committed.debts, []);
    }
    let micros = 1e6 * (cpu_seconds(stage).await - before);
    let (server, skus) = (stage.server.binary(), skus.len());
    let each = micros / (groups * size) as f64;
    say(&format!(
        "{server}, {place:?}: {skus} skus, groups of {size}: {each:.1} µs a purchase"
    ));
}

#[tokio::test]
#[ignore = "a measurement, to be read"]
async fn what_a_purchase_costs_the_server_by_the_size_of_its_group() {
    on_each_server(async |stage| {
        for skus in [100, 1_000] {
            let skus: Vec<String> = (0..skus).map(|n| format!("sku-{n}")).collect();
            for (size, place) in [1, 16, 128, 256]
                .into_iter()
                .flat_map(|size| PLACES.map(|place| (size, place)))
            {
                let () = stage.cli("FLUSHALL").await;
                for sku in &skus {
                    let _: redis::Value = stage.cli(&place.set(sku, "1000000")).await;
                }
                buy_in_groups(stage, place, &skus, size).await;
            }
        }
    })
    .await;
}
