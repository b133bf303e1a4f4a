//! Times in the app's tables: one for all that a transaction writes, in the time zone that is meant.

use tandem_mysql::{Per, Settings, Statement};
use tandem_participant::{Commit, Participant, Prepare};
use tandem_protocol::Timestamp;

use crate::stand::{Stand, ask, column, commit, decision, enlist, entries, sql, tx};

/// 2026-03-01 12:00:00.007 UTC.
const NOON: Timestamp = Timestamp(1_772_366_400_007);

const ORDERS: &str = "CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, made DATETIME(3), \
                      stamped TIMESTAMP(3) NULL, noted DATETIME DEFAULT CURRENT_TIMESTAMP) CHARACTER SET utf8mb4";

fn settings(stand: &Stand) -> Settings {
    Settings {
        statements: Some(vec![Statement::new(
            Per::Purchase,
            "INSERT INTO orders (id, made, stamped) VALUES (:purchase_id, :purchase_time, :purchase_time)",
        )]),
        ..stand.settings()
    }
}

/// Also where a purchase is prepared by itself, and where a repair writes it again.
pub(crate) async fn a_row_has_the_time_at_which_its_transaction_began(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(&mut hand, ORDERS).await;
    let participant = stand.with(settings(&stand));
    participant.enlist(&enlist(1)).await.unwrap();
    let prepare = Prepare {
        begin_time: NOON,
        ..ask(&tx(1), entries(&["o1", "o2"]))
    };
    participant.prepare(&prepare).await.unwrap();
    commit(&participant, &tx(1), &["o1", "o2"]).await.unwrap();
    let made = "SELECT CONCAT_WS(' ', id, made, stamped) FROM orders ORDER BY id";
    let first =
        ["o1", "o2"].map(|id| format!("{id} 2026-03-01 12:00:00.007 2026-03-01 12:00:00.007"));
    assert_eq!(column(&mut hand, made).await, first);

    sql(&mut hand, "DELETE FROM orders").await;
    let decided = Commit {
        begin_time: NOON,
        ..decision(&tx(1), entries(&["o1", "o2"]))
    };
    participant.repair(&decided).await.unwrap();
    assert_eq!(column(&mut hand, made).await, first);
}

/// A server of another zone than UTC: it is told until the file says what is meant; then it is so.
pub(crate) async fn the_time_zone_is_told_until_it_is_said(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(&mut hand, ORDERS).await;
    sql(&mut hand, "SET GLOBAL time_zone = '+09:00'").await;
    let told = async |zone: Option<&str>| {
        let settings = Settings {
            time_zone: zone.map(str::to_owned),
            ..settings(&stand)
        };
        let participant = stand.with(settings);
        participant.enlist(&enlist(1)).await.unwrap();
        let found = participant.describe().await.unwrap().findings;
        let told = found
            .into_iter()
            .find(|one| one.name == "TIME_ZONE_DIFFERS");
        (participant, told)
    };
    let finding = told(None).await.1.expect("it differs");
    let advice = finding.detail.contains("set time_zone = \"+09:00\"");
    assert!(finding.accepted && advice, "{finding:?}");
    // The machine is not at +09:00, which nobody means who says SYSTEM.
    let finding = told(Some("SYSTEM")).await.1.expect("it differs");
    let advice = finding.detail.contains("set time_zone = \"+09:00\"");
    assert!(
        advice && finding.detail.contains("the machine's"),
        "{finding:?}"
    );
    for (number, (zone, made)) in [
        ("+00:00", "2026-03-01 12:00:00.007"),
        ("+09:00", "2026-03-01 21:00:00.007"),
        ("-05:30", "2026-03-01 06:30:00.007"),
    ]
    .into_iter()
    .enumerate()
    {
        let (participant, finding) = told(Some(zone)).await;
        assert_eq!(finding, None, "{zone}");
        let id = format!("o{number}");
        let transaction = tx(u64::try_from(number).unwrap() + 1);
        let prepare = Prepare {
            begin_time: NOON,
            ..ask(&transaction, entries(&[&id]))
        };
        participant.prepare(&prepare).await.unwrap();
        commit(&participant, &transaction, &[&id]).await.unwrap();
        let row = format!("SELECT CONCAT_WS(' ', made, stamped) FROM orders WHERE id = '{id}'");
        // The hand is in UTC: of one moment in all zones.
        assert_eq!(
            column(&mut hand, &row).await,
            [format!("{made} 2026-03-01 12:00:00.007")]
        );
    }
    sql(&mut hand, "SET GLOBAL time_zone = '+00:00'").await;
    assert_eq!(told(None).await.1, None);
}
