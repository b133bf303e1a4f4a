//! The server may answer OK to another session's XA COMMIT and commit nothing, while the preparer's
//! disconnect is in progress (measured on MariaDB 10.11 and 11.8 and on MySQL 9.7 without detach:
//! up to 17 of 1,000). Hundreds of preparers die here in every way; each row is counted afterwards.

use std::env;

use tandem_participant::{CommitEvidence, Error, Participant};

use crate::stand::{
    Stand, column, commit, enlist, in_doubt, prepared, roll_back, sql, try_sql, tx,
};

/// Rounds, unless TANDEM_TEST_ROUNDS says otherwise.
const ROUNDS: u64 = 150;

/// One in about 60 was lost on MariaDB 10.11, one in 1,200 on MySQL 9.7 without detach.
const ZOMBIE_ROUNDS: u64 = 600;

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

/// Makes a real one: commits from another session without waiting for the preparer's to go, as
/// careless coordinators do, until an OK has committed nothing.
pub(crate) async fn a_zombie_is_named_and_comes_back_with_a_restart(stand: Stand) {
    if !stand.world.ties() {
        eprintln!(
            "SKIPPED: {:?} makes no zombies: none in 1,900 tries",
            stand.world
        );
        return;
    }
    let survivor = stand.enlisted().await;
    let mut careless = stand.hand().await;
    let mut zombie = None;
    for round in 1..=ZOMBIE_ROUNDS {
        let doomed = stand.fresh();
        prepared(&doomed, &tx(round), &[&format!("p{round}")]).await;
        drop(doomed);
        let xid = stand.xid(&tx(round));
        while try_sql(&mut careless, &format!("XA COMMIT {xid}"))
            .await
            .is_err()
        {}
        let row = format!("SELECT purchase_id FROM purchases WHERE purchase_id = 'p{round}'");
        if column(&mut careless, &row).await.is_empty() {
            zombie = Some(round);
            break;
        }
    }
    let Some(round) = zombie else {
        eprintln!(
            "SKIPPED: {:?} made no zombie in {ZOMBIE_ROUNDS} rounds",
            stand.world
        );
        return;
    };
    eprintln!("{:?} made a zombie in round {round}", stand.world);
    let id = format!("p{round}");
    let stuck = commit(&survivor, &tx(round), &[&id]).await;
    assert!(matches!(stuck, Err(Error::Stuck { .. })), "{stuck:?}");
    assert!(in_doubt(&survivor).await.is_empty());
    stand.server.restart().unwrap();
    survivor.enlist(&enlist(1)).await.unwrap();
    assert_eq!(in_doubt(&survivor).await, [tx(round)]);
    commit(&survivor, &tx(round), &[&id]).await.unwrap();
    assert_eq!(stand.purchases().await.len() as u64, round);
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
