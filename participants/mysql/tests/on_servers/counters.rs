//! Keys that the table makes by counting, on a server that locks the counter while a statement runs.
//!
//! `innodb_autoinc_lock_mode = 0` locks it in each statement; 1, MariaDB's default, in one of many rows,
//! and in others while such a one runs. Who waits for it in vain is answered 1467 by MariaDB, as is one whose wait
//! is interrupted or ends in a deadlock.

use std::time::Duration;

use tandem_mysql::{MysqlParticipant, Per};
use tandem_participant::Participant;
use tandem_protocol::Reason;

use crate::entries::{reasons, refused_entries, with_statements};
use crate::stand::{Stand, ask, column, commit, decision, entries, prepared, sql, tx};

/// For how long the app's statement runs.
const HELD_S: u32 = 5;

/// Orders with numbers of their own. A purchase whose id begins with `own` brings its number with it, and
/// needs no counter.
async fn shop(stand: &Stand) -> MysqlParticipant {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY); CREATE TABLE numbered (number BIGINT \
         AUTO_INCREMENT PRIMARY KEY, id VARCHAR(64) NOT NULL); CREATE TRIGGER numbers AFTER INSERT ON \
         orders FOR EACH ROW BEGIN IF NEW.id NOT LIKE 'own%' THEN INSERT INTO numbered (id) VALUES \
         (NEW.id); END IF; END",
    )
    .await;
    let insert = "INSERT INTO orders VALUES (:purchase_id)";
    with_statements(stand, &[(Per::Purchase, insert)]).await
}

/// The app writes many rows with one slow statement. Gives its connection once the counter is locked.
async fn hold(stand: &Stand) -> (u64, tokio::task::JoinHandle<()>) {
    let mut app = stand.hand().await;
    let id = column(&mut app, "SELECT CAST(CONNECTION_ID() AS CHAR)").await;
    let slow = format!(
        "INSERT INTO numbered (id) SELECT CONCAT('app', q.i, IF(q.i = 1, '', SLEEP({HELD_S}))) FROM \
         (SELECT 1 AS i UNION ALL SELECT 2) q"
    );
    let held = tokio::spawn(async move { sql(&mut app, &slow).await });
    let mut hand = stand.hand().await;
    let begun = "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.INNODB_TRX WHERE trx_query LIKE \
                 '%SLEEP%' AND trx_query NOT LIKE '%INNODB_TRX%' AND trx_rows_modified > 0";
    while column(&mut hand, begun).await != ["1"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (id[0].parse().unwrap(), held)
}

pub(crate) async fn a_counter_that_is_held_is_a_lock(stand: Stand) {
    let participant = shop(&stand).await;
    let (holder, held) = hold(&stand).await;
    let ids = ["own-1", "a", "own-2", "b", "own-3"];
    let asked = ask(&tx(1), entries(&ids));
    let refused = refused_entries(&participant, &asked).await;
    assert_eq!(
        reasons(&refused),
        [(1, Reason::Locked), (3, Reason::Locked)]
    );
    let named = format!("connection {holder} (root@");
    let is_told = |word: &str| {
        let mut details = refused.iter().map(|entry| &entry.refusal.detail);
        details.any(|detail| detail.contains(word))
    };
    assert!(is_told(&named), "{refused:?}");
    let number = match stand.world.is_mysql() {
        true => "error 1317",
        false => "error 1467",
    };
    assert!(is_told(number), "{refused:?}");
    let found = participant.describe().await.unwrap().findings;
    let mut names = found.iter().map(|finding| &finding.name);
    assert!(names.all(|name| name != "MISCONFIGURED"), "{found:?}");

    let alone = refused_entries(&participant, &ask(&tx(2), entries(&["c"]))).await;
    assert_eq!(reasons(&alone), [(0, Reason::Locked)]);
    held.await.unwrap();
    let mut survivors = asked.entries.clone();
    survivors.retain(|entry| entry.purchase.purchase_id.starts_with("own"));
    participant
        .commit(&decision(&tx(1), survivors))
        .await
        .unwrap();
    prepared(&participant, &tx(3), &["a", "b", "c"]).await;
    commit(&participant, &tx(3), &["a", "b", "c"])
        .await
        .unwrap();
    let mut hand = stand.hand().await;
    let orders = column(&mut hand, "SELECT id FROM orders ORDER BY id").await;
    assert_eq!(orders, ["a", "b", "c", "own-1", "own-2", "own-3"]);
    let numbered = "SELECT id FROM numbered WHERE id NOT LIKE 'app%' ORDER BY id";
    assert_eq!(column(&mut hand, numbered).await, ["a", "b", "c"]);
}

pub(crate) async fn a_counter_that_costs_the_branch_is_a_lock(stand: Stand) {
    a_counter_that_is_held_is_a_lock(stand).await;
}

/// No purchase can be made then, until a person gives the column a larger type. MariaDB's answer for the
/// largest is that of a lock; MySQL's for all others is that of a duplicate key.
pub(crate) async fn a_counter_at_its_end_is_for_a_person(stand: Stand) {
    let (kind, last, number) = match stand.world.is_mysql() {
        true => ("BIGINT UNSIGNED", "18446744073709551615", "1467"),
        false => ("SMALLINT", "32767", "167"),
    };
    let mut hand = stand.hand().await;
    let create = format!(
        "CREATE TABLE orders (number {kind} AUTO_INCREMENT PRIMARY KEY, id VARCHAR(64) NOT NULL UNIQUE) \
         AUTO_INCREMENT = {last}"
    );
    sql(&mut hand, &create).await;
    let insert = "INSERT INTO orders (id) VALUES (:purchase_id)";
    let participant = with_statements(&stand, &[(Per::Purchase, insert)]).await;
    let asked = ask(&tx(1), entries(&["a", "b"]));
    let refused = refused_entries(&participant, &asked).await;
    let of_last = refused.last().unwrap();
    assert_eq!(of_last.refusal.reason, Reason::Misconfigured, "{refused:?}");
    let said = format!("error {number}: ");
    assert!(of_last.refusal.detail.contains(&said), "{refused:?}");
    let found = participant.describe().await.unwrap().findings;
    let mut names = found.iter().map(|finding| &finding.name);
    assert!(names.any(|name| name == "MISCONFIGURED"), "{found:?}");
}
