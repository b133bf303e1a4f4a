//! The server may answer OK to another session's XA COMMIT and commit nothing, while the preparer's
//! disconnect is in progress (measured on MariaDB 10.11 and 11.8 and on MySQL 9.7 without detach:
//! up to 17 of 1,000). Hundreds of preparers die here in every way; each row is counted afterwards.

use std::env;

use tandem_participant::{CommitEvidence, Participant};

use crate::stand::{Stand, column, commit, in_doubt, prepared, roll_back, sql, tx};

/// Rounds, unless TANDEM_TEST_ROUNDS says otherwise.
const ROUNDS: u64 = 150;

pub(crate) async fn no_commit_is_lost_when_preparers_die(stand: Stand) {
    let rounds = env::var("TANDEM_TEST_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut root = stand.root().await;
    let survivor = stand.enlisted().await;
    let (mut expected, mut applied, mut rolled_back) = (Vec::new(), 0, 0);
    for round in 1..=rounds {
        let id = format!("p{round:05}");
        let transaction = tx(round);
        let doomed = stand.fresh();
        prepared(&doomed, &transaction, &[&id]).await;
        let decided = round % 4 != 0;
        // Either the socket closes, or the server is told to end the connection, or both at once;
        // another process finishes the branch without waiting for anything.
        match round % 3 {
            0 => drop(doomed),
            1 => kill_preparer(&mut root, &stand, round).await,
            _ => {
                kill_preparer(&mut root, &stand, round).await;
                drop(doomed);
            }
        }
        if decided {
            let done = commit(&survivor, &transaction, &[&id]).await;
            let done = done.unwrap_or_else(|error| panic!("round {round}: {error}"));
            applied += u64::from(done.evidence == CommitEvidence::Applied);
            expected.push(id);
        } else {
            let done = roll_back(&survivor, &transaction).await;
            done.unwrap_or_else(|error| panic!("round {round}: {error}"));
            rolled_back += 1;
        }
    }
    assert_eq!(stand.purchases().await, expected);
    assert!(in_doubt(&survivor).await.is_empty());
    assert_eq!(applied, rounds - rolled_back);
    // A zombie would hold its rows' locks: nothing of them is locked.
    let mut hand = stand.hand().await;
    sql(&mut hand, "SET SESSION innodb_lock_wait_timeout = 1").await;
    sql(
        &mut hand,
        "UPDATE purchases SET total_minor = total_minor + 1",
    )
    .await;
    sql(&mut hand, "DELETE FROM tandem_branches").await;
    let in_innodb = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state <> 'x'";
    assert_eq!(column(&mut hand, in_innodb).await, ["0"]);
    let description = survivor.describe().await.unwrap();
    eprintln!(
        "{}: {rounds} preparers died: {applied} commits, {rolled_back} roll backs, none lost",
        description.server
    );
}

async fn kill_preparer(root: &mut sqlx::mysql::MySqlConnection, stand: &Stand, round: u64) {
    let query = format!(
        "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SELECT CAST(connection_id AS CHAR) \
         FROM `{}`.tandem_branches WHERE `sequence` = {round}",
        stand.name
    );
    let ids = column(root, &query).await;
    sql(root, &format!("KILL {}", ids[0])).await;
}
