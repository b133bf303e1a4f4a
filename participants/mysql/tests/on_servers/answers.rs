//! What an error means that the server has answered: it is never an outage.

use std::sync::Arc;

use tandem_mysql::Per;
use tandem_participant::Participant;
use tandem_protocol::{Entry, Purchase, Reason};
use tokio::task::JoinSet;

use crate::entries::{by, reasons, refused_entries, with_statements};
use crate::numbers::{FIRST, MORE, reason_of};
use crate::stand::{
    Stand, ask, column, commit, decision, enlist, entries, entry, prepared, roll_back, sql, tx,
};

pub(crate) async fn any_error_of_an_entry_refuses_it_alone(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64)); \
         CREATE TRIGGER picky BEFORE INSERT ON orders FOR EACH ROW BEGIN \
         DECLARE code INT DEFAULT 0; IF NEW.customer LIKE 'raise %' THEN \
         SET code = CAST(SUBSTRING(NEW.customer, 7) AS UNSIGNED); \
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = code, MESSAGE_TEXT = 'no'; END IF; END",
    )
    .await;
    let insert = "INSERT INTO orders VALUES (:purchase_id, :customer_id)";
    let participant = with_statements(&stand, &[(Per::Purchase, insert)]).await;
    prepared(&participant, &tx(1), &["first"]).await;
    roll_back(&participant, &tx(1)).await.unwrap();
    let connections = stand.connections().await;
    for (sequence, number) in (2..).zip(FIRST.chain(MORE)) {
        let bad = by("bad", &format!("raise {number}"));
        let asked = numbered(vec![entry(0, "a"), bad, entry(2, "b")]);
        let transaction = tx(sequence);
        let refused = refused_entries(&participant, &ask(&transaction, asked)).await;
        assert_eq!(refused.len(), 1, "{number}: {refused:?}");
        assert_eq!(refused[0].number, 1, "{number}");
        let reason = refused[0].refusal.reason;
        assert_eq!(reason, reason_of(number, stand.world), "{number}");
        let said = format!("error {number}: no");
        assert_eq!(refused[0].refusal.detail, said);
        roll_back(&participant, &transaction).await.unwrap();
    }
    // No session was lost over it.
    let still = stand.connections().await;
    assert!(
        connections.iter().all(|id| still.contains(id)),
        "{connections:?} {still:?}"
    );
}

pub(crate) async fn a_value_that_a_column_does_not_take_refuses_its_entry(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, currency ENUM('EUR', 'USD') NOT NULL, \
         customer SET('customer-7', 'ann') NOT NULL, old INT); \
         CREATE TABLE old (customer VARCHAR(64)); INSERT INTO old VALUES ('ann'), ('ann')",
    )
    .await;
    let insert = "INSERT INTO orders (id, currency, customer, old) VALUES (:purchase_id, \
                  :currency, :customer_id, (SELECT 1 FROM old WHERE customer = :customer_id))";
    let participant = with_statements(&stand, &[(Per::Purchase, insert)]).await;
    let mut pounds = by("pounds", "customer-7");
    let purchase: &mut Purchase = Arc::make_mut(&mut pounds.purchase);
    purchase.currency = "GBP".into();
    // Not in the ENUM (1265), not in the SET (1265), two rows where one is wanted (1242).
    let bad = [pounds, by("bob", "bob"), by("two", "ann")];
    let mut sequence = 0;
    for (bad, number) in bad.into_iter().zip(["1265", "1265", "1242"]) {
        sequence += 1;
        let alone = refused_entries(&participant, &ask(&tx(sequence), vec![bad.clone()])).await;
        assert_eq!(reasons(&alone), [(0, Reason::ConstraintViolated)]);
        assert!(alone[0].refusal.detail.contains(number), "{alone:?}");
        sequence += 1;
        let ids = [format!("a{sequence}"), format!("b{sequence}")];
        let mut asked = numbered(vec![entry(0, &ids[0]), bad, entry(2, &ids[1])]);
        let refused = refused_entries(&participant, &ask(&tx(sequence), asked.clone())).await;
        assert_eq!(reasons(&refused), [(1, Reason::ConstraintViolated)]);
        asked.remove(1);
        participant
            .commit(&decision(&tx(sequence), asked))
            .await
            .unwrap();
    }
    let sold = "SELECT COUNT(*) FROM orders";
    assert_eq!(column(&mut hand, sold).await, ["6"]);
}

pub(crate) async fn a_duplicate_is_one_of_the_same_bytes(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_general_ci PRIMARY KEY, customer \
         VARCHAR(64)) CHARACTER SET utf8mb4; \
         CREATE TABLE items (id VARCHAR(64), sku VARCHAR(64), customer VARCHAR(64), \
         PRIMARY KEY (id, sku), UNIQUE (customer, sku)) CHARACTER SET utf8mb4 COLLATE \
         utf8mb4_general_ci; INSERT INTO items VALUES ('orphan', 'apple', 'x')",
    )
    .await;
    let participant = with_statements(
        &stand,
        &[
            (
                Per::Purchase,
                "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)",
            ),
            (
                Per::Item,
                "INSERT INTO items (id, sku, customer) VALUES (:purchase_id, :sku, :customer_id)",
            ),
        ],
    )
    .await;
    prepared(&participant, &tx(1), &["p-1"]).await;
    commit(&participant, &tx(1), &["p-1"]).await.unwrap();

    let same = by("p-1", "c2");
    // The collation takes it for the same; it is not.
    let folded = by("P-1", "c3");
    // Its items are there, and no order of that id.
    let orphan = by("orphan", "c4");
    // Two items that one key takes for the same, of a purchase that was never made.
    let mut cased = by("cased", "c5");
    Arc::make_mut(&mut cased.purchase).items[1].sku = "Apple".into();
    // Another key, whose value ends in the purchase's id.
    let ends = by("apple", "customer-7");
    let bad = [same, folded, orphan, cased, ends];
    let expected = [
        Reason::DuplicatePurchase,
        Reason::ConstraintViolated,
        Reason::ConstraintViolated,
        Reason::ConstraintViolated,
        Reason::ConstraintViolated,
    ];
    for (sequence, (bad, expected)) in (2..).zip(bad.iter().zip(expected)) {
        let alone = refused_entries(&participant, &ask(&tx(sequence), vec![bad.clone()])).await;
        assert_eq!(reasons(&alone), [(0, expected)], "{bad:?}");
    }
    let mut asked = vec![by("good", "c6")];
    asked.extend(bad);
    let asked = numbered(asked);
    let refused = refused_entries(&participant, &ask(&tx(20), asked.clone())).await;
    let all: Vec<(u32, Reason)> = (1..).zip(expected).collect();
    assert_eq!(reasons(&refused), all);
    participant
        .commit(&decision(&tx(20), asked[..1].to_vec()))
        .await
        .unwrap();
    let orders = column(&mut hand, "SELECT id FROM orders ORDER BY id").await;
    assert_eq!(orders, ["good", "p-1"]);
}

pub(crate) async fn what_a_person_must_mend_is_named_and_not_remembered(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut hand = stand.hand().await;
    let breaks = [
        ("RENAME TABLE purchase_items TO elsewhere", "1146"),
        (
            "RENAME TABLE elsewhere TO purchase_items; ALTER TABLE purchases RENAME COLUMN \
             currency TO money",
            "1054",
        ),
        (
            "ALTER TABLE purchases RENAME COLUMN money TO currency, ADD COLUMN shop INT NOT NULL",
            "1364",
        ),
    ];
    let mut sequence = 0;
    for (breaks, number) in breaks {
        sql(&mut hand, breaks).await;
        for ids in [&["a"][..], &["a", "b"]] {
            sequence += 1;
            let asked = ask(&tx(sequence), entries(ids));
            let refused = refused_entries(&participant, &asked).await;
            assert_eq!(refused.len(), ids.len());
            for entry in refused {
                assert_eq!(entry.refusal.reason, Reason::Misconfigured);
                assert!(entry.refusal.detail.contains(number), "{entry:?}");
            }
            let found = participant.describe().await.unwrap().findings;
            let alarm = found.iter().find(|finding| finding.name == "MISCONFIGURED");
            assert!(alarm.unwrap().detail.contains(number), "{found:?}");
        }
    }
    sql(&mut hand, "ALTER TABLE purchases DROP COLUMN shop").await;
    prepared(&participant, &tx(20), &["a"]).await;
    let found = participant.describe().await.unwrap().findings;
    assert!(
        found.iter().all(|finding| finding.name != "MISCONFIGURED"),
        "{found:?}"
    );
}

pub(crate) async fn a_locked_entry_that_costs_the_branch_is_refused_alone(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut hand = stand.hand().await;
    let on = column(&mut hand, "SELECT @@innodb_rollback_on_timeout").await;
    assert_eq!(on, ["1"]);
    sql(&mut hand, "BEGIN").await;
    // MySQL can't wait for less than a second, and the time to prepare is for two of them.
    let locked: Vec<usize> = match stand.world.is_mysql() {
        true => vec![10, 25],
        false => (0..8).map(|n| 3 + 15 * n).collect(),
    };
    let ids: Vec<String> = (0..128).map(|n| format!("p{n:03}")).collect();
    for index in &locked {
        let id = &ids[*index];
        let insert = format!("INSERT INTO purchases VALUES ('{id}', 'c', 'EUR', 1, 't', NOW(3))");
        sql(&mut hand, &insert).await;
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let refused = refused_entries(&participant, &ask(&tx(1), entries(&ids))).await;
    let expected: Vec<(u32, Reason)> = locked
        .iter()
        .map(|index| (u32::try_from(*index).unwrap(), Reason::Locked))
        .collect();
    assert_eq!(reasons(&refused), expected);
    sql(&mut hand, "ROLLBACK").await;
    let survivors: Vec<&str> = (0..ids.len())
        .filter(|index| !locked.contains(index))
        .map(|index| ids[index])
        .collect();
    let mut asked = entries(&ids);
    asked.retain(|entry| !locked.contains(&(entry.number as usize)));
    participant.commit(&decision(&tx(1), asked)).await.unwrap();
    assert_eq!(stand.purchases().await, survivors);
}

/// The app's user may have three connections, and the participant wants more.
pub(crate) async fn a_server_without_room_for_more_sessions_is_served_by_those_there(stand: Stand) {
    let mut root = stand.root().await;
    let name = stand.name.replace('-', "_");
    sql(
        &mut root,
        &format!(
            "CREATE USER {name}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 3; GRANT ALL ON *.* TO \
             {name}@'127.0.0.1'"
        ),
    )
    .await;
    let url = format!(
        "mysql://{name}@127.0.0.1:{}/{}",
        stand.server.port(),
        stand.name
    );
    let mut settings = stand.settings();
    settings.url = url.into();
    let participant = Arc::new(stand.with(settings));
    participant.enlist(&enlist(1)).await.unwrap();
    for round in 0..2 {
        let mut all = JoinSet::new();
        for n in 1..=20 {
            let participant = Arc::clone(&participant);
            all.spawn(async move {
                let transaction = tx(20 * round + n);
                let id = format!("p{round}-{n:02}");
                prepared(&participant, &transaction, &[&id]).await;
                commit(&participant, &transaction, &[&id]).await.unwrap();
            });
        }
        // It waits its turn too.
        participant.list_prepared().await.unwrap();
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    }
    assert_eq!(stand.purchases().await.len(), 40);
}

fn numbered(mut entries: Vec<Entry>) -> Vec<Entry> {
    for (number, entry) in (0..).zip(&mut entries) {
        entry.number = number;
    }
    entries
}
