//! Entries refused one by one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_mysql::{MysqlParticipant, Per, Settings, Statement};
use tandem_participant::{Enlist, Error, Participant, RefusedEntry, Vote};
use tandem_protocol::{Entry, Purchase, Reason, TransactionId};

use crate::stand::{
    SQL_MODES, Stand, ask, column, commit, decision, enlist, entries, entry, in_doubt, in_sql_mode,
    prepared, sql, tx,
};

pub(crate) async fn bad_entries_are_refused_and_their_neighbours_kept(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["old"]).await;
    commit(&participant, &tx(1), &["old"]).await.unwrap();
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "ALTER TABLE purchase_items ADD CHECK (quantity < 1000)",
    )
    .await;
    let mut asked = entries(&["a", "old", "b", "greedy", "c", "d"]);
    greedy(&mut asked[3]);
    // Numbers may be missing.
    for (entry, number) in asked.iter_mut().zip([0, 1, 4, 5, 7, 9]) {
        entry.number = number;
    }
    let refused = refused_entries(&participant, &ask(&tx(2), asked.clone())).await;
    assert_eq!(
        reasons(&refused),
        [
            (1, Reason::DuplicatePurchase),
            (5, Reason::ConstraintViolated)
        ]
    );
    assert!(refused[0].refusal.detail.contains("1062"), "{refused:?}");
    let survivors = [0, 2, 4, 5].map(|index| asked[index].clone());
    participant
        .commit(&decision(&tx(2), survivors.into()))
        .await
        .unwrap();
    assert_eq!(stand.purchases().await, ["a", "b", "c", "d", "old"]);
    let orphans = "SELECT COUNT(*) FROM purchase_items WHERE purchase_id = 'greedy'";
    assert_eq!(column(&mut hand, orphans).await, ["0"]);
}

pub(crate) async fn a_locked_entry_delays_its_neighbours_briefly(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "BEGIN; INSERT INTO purchases VALUES ('busy', 'c', 'EUR', 1, 't', NOW(3))",
    )
    .await;
    let mut ids: Vec<String> = (10..42).map(|number| format!("p{number}")).collect();
    ids[20] = "busy".to_owned();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let asked = ask(&tx(1), entries(&ids));
    let refused = refused_entries(&participant, &asked).await;
    let took = begun.elapsed();
    assert_eq!(reasons(&refused), [(20, Reason::Locked)]);
    // One lock timeout of a second; MySQL, which can't wait for less than a second, takes two.
    // Halving the 32 entries would take six or more, which a busy machine does not.
    assert!(took < Duration::from_secs(5), "{took:?}");
    sql(&mut hand, "COMMIT").await;
    let mut survivors = asked.entries.clone();
    survivors.remove(20);
    participant
        .commit(&decision(&tx(1), survivors))
        .await
        .unwrap();
    ids.sort_unstable();
    assert_eq!(stand.purchases().await, ids);

    // Many that are locked don't outlast the prepare's timeout.
    let ids: Vec<String> = (0..12).map(|n| format!("x{n:02}")).collect();
    sql(&mut hand, "BEGIN").await;
    for id in &ids[..8] {
        let insert = format!("INSERT INTO purchases VALUES ('{id}', 'c', 'EUR', 1, 't', NOW(3))");
        sql(&mut hand, &insert).await;
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut asked = ask(&tx(2), entries(&ids));
    asked.timeout = Duration::from_secs(5);
    let begun = Instant::now();
    let refused = refused_entries(&participant, &asked).await;
    assert!(begun.elapsed() < asked.timeout, "{:?}", begun.elapsed());
    assert!(
        refused
            .iter()
            .all(|entry| entry.refusal.reason == Reason::Locked)
    );
    assert!(refused.len() >= 8, "{refused:?}");
    if !stand.world.is_mysql() {
        assert_eq!(refused.len(), 8);
    }
}

pub(crate) async fn when_all_are_refused_nothing_stays_prepared(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["a", "b"]).await;
    commit(&participant, &tx(1), &["a", "b"]).await.unwrap();
    for (sequence, ids) in [(2, &["a"][..]), (3, &["a", "b"])] {
        let refused = refused_entries(&participant, &ask(&tx(sequence), entries(ids))).await;
        assert_eq!(refused.len(), ids.len());
        assert!(in_doubt(&participant).await.is_empty());
    }
    let mut hand = stand.hand().await;
    let markers = "SELECT COUNT(*) FROM tandem_branches";
    assert_eq!(column(&mut hand, markers).await, ["1"]);
}

/// The id is in use, and whoever asks is told by whom.
pub(crate) async fn a_duplicate_names_the_other_coordinator_that_made_it(stand: Stand) {
    let participant = stand.enlisted().await;
    let other = Enlist {
        coordinator: "other".parse().unwrap(),
        ..enlist(1)
    };
    participant.enlist(&other).await.unwrap();
    let others: TransactionId = "other.1.7".parse().unwrap();
    prepared(&participant, &others, &["p1"]).await;
    commit(&participant, &others, &["p1"]).await.unwrap();
    prepared(&participant, &tx(1), &["p2"]).await;
    commit(&participant, &tx(1), &["p2"]).await.unwrap();

    let refused = refused_entries(&participant, &ask(&tx(2), entries(&["p1", "p2", "p3"]))).await;
    let duplicate = Reason::DuplicatePurchase;
    assert_eq!(reasons(&refused), [(0, duplicate), (1, duplicate)]);
    let details = [0, 1].map(|n: usize| refused[n].refusal.detail.as_str());
    assert!(
        details[0].starts_with("coordinator other made it, in transaction other.1.7"),
        "{details:?}"
    );
    assert!(details[1].starts_with("error 1062"), "{details:?}");
}

pub(crate) async fn another_unique_key_is_no_duplicate_purchase(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64) UNIQUE, total \
         BIGINT, units INT DEFAULT 0, made DATETIME(3))",
    )
    .await;
    let participant = with_statements(
        &stand,
        &[
            (
                Per::Purchase,
                "INSERT INTO orders (id, customer, total, made) VALUES (:purchase_id, \
                 :customer_id, :total_minor, :purchase_time)",
            ),
            (
                Per::Item,
                "UPDATE orders SET units = units + :quantity WHERE id = :purchase_id",
            ),
        ],
    )
    .await;
    prepared(&participant, &tx(1), &["o1"]).await;
    commit(&participant, &tx(1), &["o1"]).await.unwrap();
    let row = "SELECT CONCAT_WS(' ', id, customer, total, units, made) FROM orders";
    let kept = "o1 customer-7 750 3 1970-01-01 00:00:01.000";
    assert_eq!(column(&mut hand, row).await, [kept]);
    let same_id = refused_entries(&participant, &ask(&tx(2), vec![by("o1", "customer-8")])).await;
    assert_eq!(reasons(&same_id), [(0, Reason::DuplicatePurchase)]);
    let same_customer = refused_entries(&participant, &ask(&tx(3), entries(&["o2"]))).await;
    assert_eq!(reasons(&same_customer), [(0, Reason::ConstraintViolated)]);
}

pub(crate) async fn one_purchase_twice_is_no_transaction(stand: Stand) {
    let participant = stand.enlisted().await;
    let twice = participant
        .prepare(&ask(&tx(2), vec![entry(0, "x"), entry(1, "x")]))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(twice, Err(Error::Invalid { .. })), "{twice:?}");
}

pub(crate) async fn values_survive_every_sql_mode(stand: Stand) {
    let nasty = "O'Neil\\\"`\u{1F600}%_ -- ;é";
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64) CHARACTER SET \
         utf8mb4)",
    )
    .await;
    let insert = "INSERT INTO orders VALUES (:purchase_id, :customer_id)";
    for (sequence, mode) in (1..).zip(SQL_MODES) {
        let participant = with_statements(&stand, &[(Per::Purchase, insert)]).await;
        let id = format!("o{sequence}");
        let ask = ask(&tx(sequence), vec![by(&id, nasty)]);
        let vote = in_sql_mode(&mut hand, mode, participant.prepare(&ask)).await;
        assert!(
            matches!(&vote, Ok(voted) if matches!(voted.vote, Vote::Yes { .. })),
            "{mode}: {vote:?}"
        );
        commit(&participant, &tx(sequence), &[&id]).await.unwrap();
        let stored = format!("SELECT HEX(customer) FROM orders WHERE id = '{id}'");
        let hex: String = nasty.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(column(&mut hand, &stored).await, [hex], "{mode}");
    }
}

pub(crate) async fn purchases_that_deadlock_are_tried_again(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY); CREATE TABLE sold (sku VARCHAR(64) \
         PRIMARY KEY, n INT); INSERT INTO sold VALUES ('apple', 0), ('pear', 0)",
    )
    .await;
    let participant = Arc::new(
        with_statements(
            &stand,
            &[
                (Per::Purchase, "INSERT INTO orders VALUES (:purchase_id)"),
                (
                    Per::Item,
                    "UPDATE sold SET n = n + :quantity WHERE sku = :sku",
                ),
            ],
        )
        .await,
    );
    // Two at a time take the same rows in opposite orders.
    let mut done = 0;
    for round in 0..20 {
        let both = (0..2).map(|side| {
            let participant = Arc::clone(&participant);
            tokio::spawn(async move {
                let transaction = tx(2 * round + side + 1);
                let mut entry = entry(0, &format!("o{round}-{side}"));
                if side == 1 {
                    let purchase = Arc::make_mut(&mut entry.purchase);
                    purchase.items.reverse();
                }
                let vote = participant
                    .prepare(&ask(&transaction, vec![entry.clone()]))
                    .await
                    .map(|voted| voted.vote);
                match vote.unwrap() {
                    Vote::Yes { refused, .. } if refused.is_empty() => {
                        let commit = decision(&transaction, vec![entry]);
                        participant.commit(&commit).await.unwrap();
                        1
                    }
                    Vote::Yes { refused, .. } => {
                        assert_eq!(reasons(&refused), [(0, Reason::Locked)]);
                        0
                    }
                    vote @ Vote::No { .. } => panic!("{vote:?}"),
                }
            })
        });
        for task in both.collect::<Vec<_>>() {
            done += task.await.unwrap();
        }
    }
    assert!(done >= 20, "{done}");
    let sold = column(&mut hand, "SELECT CAST(n AS CHAR) FROM sold ORDER BY sku").await;
    assert_eq!(sold, [(2 * done).to_string(), done.to_string()]);
    let orders = column(&mut hand, "SELECT COUNT(*) FROM orders").await;
    assert_eq!(orders, [done.to_string()]);
}

pub(crate) async fn with_statements(stand: &Stand, statements: &[(Per, &str)]) -> MysqlParticipant {
    let statements = statements
        .iter()
        .map(|(per, sql)| Statement::new(*per, *sql))
        .collect();
    let settings = Settings {
        statements: Some(statements),
        ..stand.settings()
    };
    let participant = stand.with(settings);
    participant.enlist(&enlist(1)).await.unwrap();
    participant
}

pub(crate) async fn refused_entries(
    participant: &MysqlParticipant,
    prepare: &tandem_participant::Prepare,
) -> Vec<RefusedEntry> {
    match participant.prepare(prepare).await.map(|voted| voted.vote) {
        Ok(Vote::Yes { refused, .. }) => refused,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn reasons(refused: &[RefusedEntry]) -> Vec<(u32, Reason)> {
    refused
        .iter()
        .map(|entry| (entry.number, entry.refusal.reason))
        .collect()
}

pub(crate) fn by(purchase_id: &str, customer_id: &str) -> Entry {
    let mut entry = entry(0, purchase_id);
    let purchase: &mut Purchase = Arc::make_mut(&mut entry.purchase);
    purchase.customer_id = customer_id.into();
    entry
}

fn greedy(entry: &mut Entry) {
    Arc::make_mut(&mut entry.purchase).items[1].quantity = 5_000;
}
