//! tandem's tables as an older tandem made them.

use tandem_participant::{Error, Participant, RollBack};
use tandem_protocol::{Epoch, TransactionId};

use crate::stand::{
    Stand, column, commit, enlist, in_doubt, prepared, roll_back, sql, try_sql, tx, until,
};

/// The tables of layout 1, and what was written then: by the statements of that tandem, word for
/// word.
async fn first_layout(stand: &Stand) {
    let mut hand = stand.hand().await;
    for table in [
        "CREATE TABLE tandem_branches (
  participant VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coordinator VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  `sequence` BIGINT UNSIGNED NOT NULL,
  state TINYINT UNSIGNED NOT NULL COMMENT '1 committed with its branch, 2 rolled back',
  connection_id BIGINT UNSIGNED NOT NULL,
  server_start BIGINT UNSIGNED NOT NULL,
  prepare_time_ms BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (participant, coordinator, epoch, `sequence`)
) ENGINE=InnoDB",
        "CREATE TABLE tandem_coordinators (
  participant VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coordinator VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  log_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  instance_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  forgotten_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  forgotten_sequence BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (participant, coordinator)
) ENGINE=InnoDB",
        "CREATE TABLE purchases (
  purchase_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  customer_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  total_minor BIGINT NOT NULL,
  transaction_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  create_time DATETIME(3) NOT NULL,
  PRIMARY KEY (purchase_id)
) ENGINE=InnoDB",
    ] {
        sql(&mut hand, table).await;
    }
    old_enlist(stand, 1).await;
}

/// How a tandem of layout 1 enlists the coordinator `shop`.
async fn old_enlist(stand: &Stand, epoch: u64) {
    let mut hand = stand.hand().await;
    let condition = format!("participant = '{}' AND coordinator = 'shop'", stand.name);
    sql(
        &mut hand,
        &format!(
            "START TRANSACTION; \
             INSERT INTO tandem_coordinators (participant, coordinator, log_id, epoch, instance_id) \
             SELECT '{}', 'shop', 'log-1', 0, '' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM \
             tandem_coordinators WHERE {condition}); \
             SELECT log_id, epoch, instance_id, forgotten_epoch, forgotten_sequence FROM \
             tandem_coordinators WHERE {condition} FOR UPDATE; \
             UPDATE tandem_coordinators SET epoch = {epoch}, instance_id = 'old' WHERE {condition}; \
             COMMIT",
            stand.name
        ),
    )
    .await;
}

/// How a tandem of layout 1 prepares a purchase. Its session goes, as with the process.
async fn old_prepare(stand: &Stand, epoch: u64, sequence: u64) -> Result<(), sqlx::Error> {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION \
         innodb_lock_wait_timeout = 1, lock_wait_timeout = 1",
    )
    .await;
    let transaction: TransactionId = format!("shop.{epoch}.{sequence}").parse().unwrap();
    let (xid, name) = (stand.xid(&transaction), &stand.name);
    try_sql(
        &mut hand,
        &format!(
            "XA START {xid}; \
             INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, \
             connection_id, server_start, prepare_time_ms) SELECT '{name}', 'shop', {epoch}, \
             {sequence}, 1 + 18446744073709551615 * EXISTS (SELECT 1 FROM tandem_coordinators WHERE \
             participant = '{name}' AND coordinator = 'shop' AND epoch > {epoch}), CONNECTION_ID(), \
             1, 1; \
             INSERT INTO purchases VALUES ('old-{epoch}-{sequence}', 'c', 'EUR', 1, '{transaction}', \
             UTC_TIMESTAMP(3)); \
             XA END {xid}; XA PREPARE {xid}"
        ),
    )
    .await
}

async fn columns(stand: &Stand) -> usize {
    let mut hand = stand.hand().await;
    column(&mut hand, "SHOW COLUMNS FROM tandem_branches")
        .await
        .len()
}

/// Branches in doubt lock the table, and only the coordinator that enlists can end them.
pub(crate) async fn old_tables_are_worked_with_until_nothing_is_in_doubt(stand: Stand) {
    first_layout(&stand).await;
    old_prepare(&stand, 1, 1).await.unwrap();
    old_prepare(&stand, 1, 2).await.unwrap();
    let participant = stand.fresh();
    let life = participant.enlist(&enlist(2)).await.unwrap().incarnation;
    assert_eq!(columns(&stand).await, 8);
    assert_eq!(in_doubt(&participant).await, [tx(1), tx(2)]);
    let new: TransactionId = "shop.2.1".parse().unwrap();
    prepared(&participant, &new, &["p1"]).await;
    commit(&participant, &new, &["p1"]).await.unwrap();

    let described = participant.describe().await.unwrap();
    let waits = |finding: &tandem_participant::Finding| {
        finding.name == "TABLES_OF_OLD_LAYOUT"
            && finding.accepted
            && finding.detail.contains("ADD COLUMN")
    };
    assert!(described.findings.iter().any(waits), "{described:?}");
    let decided = tandem_participant::Commit {
        caller_epoch: Epoch(2),
        ..crate::stand::decision(&tx(1), crate::stand::entries(&["old-1-1"]))
    };
    participant.commit(&decided).await.unwrap();
    let aborted = RollBack {
        transaction: tx(2),
        caller_epoch: Epoch(2),
    };
    participant.roll_back(&aborted).await.unwrap();
    let described = participant.describe().await.unwrap();
    assert!(!described.findings.iter().any(waits), "{described:?}");
    assert_eq!(columns(&stand).await, 10);

    let second: TransactionId = "shop.2.2".parse().unwrap();
    prepared(&participant, &second, &["p2"]).await;
    commit(&participant, &second, &["p2"]).await.unwrap();
    let mut hand = stand.hand().await;
    let entries =
        "SELECT IFNULL(entries, 'unknown') FROM tandem_branches ORDER BY epoch, `sequence`";
    let rows = column(&mut hand, entries).await;
    assert_eq!(rows, ["unknown", "unknown", "unknown", "0"]);
    assert_eq!(stand.purchases().await, ["old-1-1", "p1", "p2"]);
    let same = participant.enlist(&enlist(2)).await.unwrap().incarnation;
    assert_eq!(same, life);
}

/// Purchases under way come and go: that is no reason to wait for ever.
pub(crate) async fn columns_are_added_under_load(stand: Stand) {
    first_layout(&stand).await;
    old_prepare(&stand, 1, 1).await.unwrap();
    let participant = stand.fresh();
    participant.enlist(&enlist(2)).await.unwrap();
    let first = RollBack {
        transaction: tx(1),
        caller_epoch: Epoch(2),
    };
    let others = stand.fresh();
    let load = async {
        for sequence in 1.. {
            let transaction: TransactionId = format!("shop.2.{sequence}").parse().unwrap();
            let id = format!("p{sequence}");
            prepared(&others, &transaction, &[&id]).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            commit(&others, &transaction, &[&id]).await.unwrap();
            if columns(&stand).await == 10 {
                return sequence;
            }
        }
        unreachable!()
    };
    let sweeps = async {
        // What is old and stays is waited for by nobody.
        participant.describe().await.unwrap();
        participant.describe().await.unwrap();
        assert_eq!(columns(&stand).await, 8);
        participant.roll_back(&first).await.unwrap();
        until("the columns are added", || async {
            participant.describe().await.unwrap();
            columns(&stand).await == 10
        })
        .await;
    };
    let (bought, ()) = tokio::join!(load, sweeps);
    assert_eq!(stand.purchases().await.len(), bought);
}

/// Whoever goes back to the tandem before, or runs it beside the new one, finds its tables.
pub(crate) async fn an_older_tandem_works_on_the_new_tables(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["p1"]).await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    old_enlist(&stand, 2).await;
    old_prepare(&stand, 2, 1).await.unwrap();
    let fenced = participant
        .prepare(&crate::stand::ask(&tx(2), crate::stand::entries(&["p2"])))
        .await;
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    let next = stand.fresh();
    next.enlist(&enlist(3)).await.unwrap();
    let late = old_prepare(&stand, 2, 2).await.unwrap_err().to_string();
    assert!(late.contains("1690"), "{late}");
    let old: TransactionId = "shop.2.1".parse().unwrap();
    assert_eq!(in_doubt(&next).await, std::slice::from_ref(&old));
    let aborted = RollBack {
        transaction: old,
        caller_epoch: Epoch(3),
    };
    next.roll_back(&aborted).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1"]);
}

/// As after a process that died between two steps, and while several begin at once.
pub(crate) async fn a_migration_goes_on_from_any_point(stand: Stand) {
    first_layout(&stand).await;
    let tables = "SHOW TABLES";
    let mut hand = stand.hand().await;
    assert_eq!(column(&mut hand, tables).await.len(), 3);
    let several = [stand.fresh(), stand.fresh(), stand.fresh()];
    let second = enlist(2);
    let (a, b, c) = tokio::join!(
        several[0].enlist(&second),
        several[1].enlist(&second),
        several[2].enlist(&second)
    );
    for enlisted in [a, b, c] {
        enlisted.unwrap();
    }
    assert_eq!(columns(&stand).await, 10);
    for lost in [
        "DROP TABLE tandem_lives",
        "ALTER TABLE tandem_branches DROP COLUMN entries, DROP COLUMN participants",
    ] {
        sql(&mut hand, lost).await;
        let next = stand.fresh();
        next.enlist(&enlist(2)).await.unwrap();
        assert_eq!(columns(&stand).await, 10);
        assert_eq!(column(&mut hand, tables).await.len(), 5);
    }

    let by_hand = tandem_mysql::Settings {
        create_tables: false,
        ..stand.settings()
    };
    let participant = stand.with(by_hand.clone());
    sql(&mut hand, "DROP TABLE tandem_lives").await;
    let missing = participant
        .enlist(&enlist(2))
        .await
        .unwrap_err()
        .to_string();
    let ddl = missing.split_once("create them: ").unwrap().1;
    sql(&mut hand, ddl).await;
    participant.enlist(&enlist(2)).await.unwrap();
    roll_back(&participant, &"shop.2.1".parse().unwrap())
        .await
        .unwrap();

    sql(
        &mut hand,
        "ALTER TABLE tandem_lives COMMENT = 'tandem layout 3'",
    )
    .await;
    let newer = participant.enlist(&enlist(2)).await.unwrap_err();
    assert!(matches!(newer, Error::Invalid { .. }), "{newer:?}");
    assert!(newer.to_string().contains("layout 3"), "{newer}");
}
