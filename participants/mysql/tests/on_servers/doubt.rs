//! Branches whose preparing session is gone, and ends that are not the decision's.

use std::time::{Duration, Instant};

use tandem_participant::{BranchState, CommitEvidence, Error, HeuristicKind, Participant, Vote};
use tandem_protocol::TransactionId;

use crate::stand::{
    Stand, ask, close, column, commit, enlist, entries, in_doubt, prepared, roll_back, sql,
    try_sql, tx, until,
};

/// One in about three was taken back on MariaDB 10.11, none on MySQL 9.7.
const TAKEN_BACK_TRIES: u64 = 8;

pub(crate) async fn another_process_commits_after_the_preparer_has_gone(stand: Stand) {
    let first = stand.enlisted().await;
    for sequence in 1..=3 {
        prepared(&first, &tx(sequence), &[&format!("p{sequence}")]).await;
    }
    drop(first);
    let next = stand.fresh();
    assert_eq!(in_doubt(&next).await, [tx(1), tx(2), tx(3)]);
    let state = next.inspect(&tx(1)).await.unwrap().state;
    assert_eq!(state, BranchState::Prepared);
    let done = commit(&next, &tx(1), &["p1"]).await.unwrap();
    assert_eq!(done.evidence, CommitEvidence::Applied);
    roll_back(&next, &tx(2)).await.unwrap();
    commit(&next, &tx(3), &["p3"]).await.unwrap();
    assert!(in_doubt(&next).await.is_empty());
    assert_eq!(stand.purchases().await, ["p1", "p3"]);
}

/// The old process is gone in effect: its connections are half open, and where a branch is tied to
/// its session only the end of that connection frees it.
pub(crate) async fn another_process_commits_while_the_preparer_is_still_connected(stand: Stand) {
    let old = stand.enlisted().await;
    prepared(&old, &tx(1), &["p1"]).await;
    prepared(&old, &tx(2), &["p2"]).await;
    let next = stand.fresh();
    let begun = Instant::now();
    commit(&next, &tx(1), &["p1"]).await.unwrap();
    roll_back(&next, &tx(2)).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(stand.purchases().await, ["p1"]);
    assert!(in_doubt(&next).await.is_empty());
    // The old one finds out by evidence.
    let late = commit(&old, &tx(1), &["p1"]).await.unwrap();
    if stand.world.ties() {
        assert_eq!(late.evidence, CommitEvidence::AlreadyApplied);
    }
    roll_back(&old, &tx(2)).await.unwrap();
}

pub(crate) async fn a_roll_back_by_hand_is_heuristic(stand: Stand) {
    let first = stand.enlisted().await;
    prepared(&first, &tx(1), &["p1"]).await;
    drop(first);
    by_hand(&stand, "ROLLBACK", &tx(1)).await;
    let next = stand.fresh();
    let damage = commit(&next, &tx(1), &["p1"]).await;
    assert!(
        matches!(
            &damage,
            Err(Error::Heuristic {
                kind: HeuristicKind::RolledBack,
                ..
            })
        ),
        "{damage:?}"
    );
    // A decision to roll back is content with it.
    roll_back(&next, &tx(1)).await.unwrap();
}

/// An XA ROLLBACK is not forced to the disk: killed soon after it, the server may have the branch
/// again. The coordinator then asks once more, and gets its commit.
pub(crate) async fn a_roll_back_by_hand_that_a_crash_takes_back_is_committed(stand: Stand) {
    for sequence in 1..=TAKEN_BACK_TRIES {
        let (transaction, id) = (tx(sequence), format!("p{sequence}"));
        let first = stand.enlisted().await;
        prepared(&first, &transaction, &[&id]).await;
        drop(first);
        by_hand(&stand, "ROLLBACK", &transaction).await;
        let next = stand.fresh();
        let damage = commit(&next, &transaction, &[&id]).await;
        assert!(matches!(damage, Err(Error::Heuristic { .. })), "{damage:?}");
        stand.server.kill9().unwrap();
        stand.server.restart().unwrap();
        // InnoDB writes its log each second, also when nobody asks.
        next.enlist(&enlist(1)).await.unwrap();
        if in_doubt(&next).await.is_empty() {
            continue;
        }
        eprintln!("{:?} took roll back {sequence} back", stand.world);
        let done = commit(&next, &transaction, &[&id]).await.unwrap();
        assert_eq!(done.evidence, CommitEvidence::Applied);
        assert_eq!(stand.purchases().await, [id]);
        assert!(in_doubt(&next).await.is_empty());
        return;
    }
    eprintln!("SKIPPED: {:?} took no roll back back", stand.world);
}

pub(crate) async fn a_commit_by_hand_is_heuristic(stand: Stand) {
    let first = stand.enlisted().await;
    prepared(&first, &tx(1), &["p1"]).await;
    drop(first);
    by_hand(&stand, "COMMIT", &tx(1)).await;
    let next = stand.fresh();
    let damage = roll_back(&next, &tx(1)).await;
    assert!(
        matches!(
            &damage,
            Err(Error::Heuristic {
                kind: HeuristicKind::Committed,
                ..
            })
        ),
        "{damage:?}"
    );
    let done = commit(&next, &tx(1), &["p1"]).await.unwrap();
    assert_eq!(done.evidence, CommitEvidence::AlreadyApplied);
}

/// A zombie can't be made at will; what it looks like can: a marker row that is locked, a branch
/// that is not listed, and nobody at work.
pub(crate) async fn a_branch_that_no_session_can_end_is_stuck(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut hand = stand.hand().await;
    let marker = format!(
        "BEGIN; INSERT INTO tandem_branches VALUES ('{}', 'shop', 1, 1, 1, 999999999, 1, 1, '0', '')",
        stand.name
    );
    sql(&mut hand, &marker).await;
    for stuck in [
        commit(&participant, &tx(1), &["p1"]).await.map(|_| ()),
        roll_back(&participant, &tx(1)).await,
    ] {
        let Err(Error::Stuck { detail }) = stuck else {
            panic!("{stuck:?}");
        };
        assert!(detail.contains("restart the server"), "{detail}");
    }
    let state = participant.inspect(&tx(1)).await.unwrap().state;
    assert_eq!(state, BranchState::Unclear);
    let vote = participant
        .prepare(&ask(&tx(1), entries(&["p1"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(vote, Err(Error::Busy { .. })), "{vote:?}");
    // As the restart would: the branch is back, or it is gone.
    sql(&mut hand, "ROLLBACK").await;
    roll_back(&participant, &tx(1)).await.unwrap();
}

pub(crate) async fn a_transaction_never_seen_is_not_taken_for_committed(stand: Stand) {
    let participant = stand.enlisted().await;
    let state = participant.inspect(&tx(1)).await.unwrap().state;
    assert_eq!(state, BranchState::Absent);
    let damage = commit(&participant, &tx(1), &["p1"]).await;
    assert!(
        matches!(
            &damage,
            Err(Error::Heuristic {
                kind: HeuristicKind::RolledBack,
                ..
            })
        ),
        "{damage:?}"
    );
}

pub(crate) async fn a_restart_of_the_server_keeps_the_vote(stand: Stand) {
    let participant = stand.enlisted().await;
    for sequence in 1..=4 {
        prepared(&participant, &tx(sequence), &[&format!("p{sequence}")]).await;
    }
    // Marker rows tell two runs of the server apart by the second in which they began.
    let mut hand = stand.hand().await;
    let uptime = "SHOW GLOBAL STATUS WHERE Variable_name = 'Uptime' AND Value >= 1";
    while column(&mut hand, uptime).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stand.server.kill9().unwrap();
    let down = commit(&participant, &tx(1), &["p1"]).await;
    assert!(matches!(down, Err(Error::Unavailable { .. })), "{down:?}");
    stand.server.restart().unwrap();
    let unasked = commit(&participant, &tx(1), &["p1"]).await;
    let is_refused = matches!(unasked, Err(Error::NotEnlisted { .. }));
    assert!(is_refused, "what it lost is asked first: {unasked:?}");
    participant.enlist(&enlist(1)).await.unwrap();
    assert_eq!(in_doubt(&participant).await, [tx(1), tx(2), tx(3), tx(4)]);
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    roll_back(&participant, &tx(2)).await.unwrap();
    // Connection ids begin anew: an innocent session may now have the preparer's.
    let innocents = [stand.hand().await, stand.hand().await, stand.hand().await];
    let next = stand.fresh();
    commit(&next, &tx(3), &["p3"]).await.unwrap();
    roll_back(&participant, &tx(4)).await.unwrap();
    for mut innocent in innocents {
        sql(&mut innocent, "SELECT 1").await;
    }
    assert_eq!(stand.purchases().await, ["p1", "p3"]);
    assert!(in_doubt(&participant).await.is_empty());
    prepared(&participant, &tx(5), &["p5"]).await;
    stand.server.restart().unwrap();
    participant.enlist(&enlist(1)).await.unwrap();
    commit(&participant, &tx(5), &["p5"]).await.unwrap();
}

pub(crate) async fn a_backup_lock_is_busy_and_passes(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["p1"]).await;
    prepared(&participant, &tx(2), &["p2"]).await;
    prepared(&participant, &tx(4), &["p4"]).await;
    let mut backup = stand.hand().await;
    sql(&mut backup, "FLUSH TABLES WITH READ LOCK").await;
    let busy = commit(&participant, &tx(1), &["p1"]).await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let busy = commit(&stand.fresh(), &tx(4), &["p4"]).await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let busy = roll_back(&participant, &tx(2)).await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let refused = participant
        .prepare(&ask(&tx(3), entries(&["p3"])))
        .await
        .map(|voted| voted.vote);
    let locked = matches!(&refused, Err(Error::Busy { .. }))
        || matches!(&refused, Ok(Vote::Yes { refused, .. }) if refused.len() == 1);
    assert!(locked, "{refused:?}");
    assert_eq!(in_doubt(&participant).await, [tx(1), tx(2), tx(4)]);
    sql(&mut backup, "UNLOCK TABLES").await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    commit(&participant, &tx(4), &["p4"]).await.unwrap();
    roll_back(&participant, &tx(2)).await.unwrap();
    prepared(&participant, &tx(5), &["p3"]).await;
    commit(&participant, &tx(5), &["p3"]).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1", "p3", "p4"]);
    assert!(in_doubt(&participant).await.is_empty());
}

pub(crate) async fn a_read_only_server_is_busy_and_passes(stand: Stand) {
    let mut root = stand.root().await;
    // Administrators pass read_only by; the participant of an app is none.
    let grants = if stand.world.is_mysql() {
        "GRANT XA_RECOVER_ADMIN, REPLICATION CLIENT ON *.* TO shop; GRANT ALL ON *.* TO shop; \
         REVOKE SUPER, CONNECTION_ADMIN, READ_ONLY_ADMIN ON *.* FROM shop"
    } else {
        "GRANT ALL ON *.* TO shop; REVOKE SUPER, READ_ONLY ADMIN, CONNECTION ADMIN ON *.* FROM shop"
    };
    sql(&mut root, &format!("CREATE USER shop; {grants}")).await;
    let mut settings = stand.settings();
    settings.url = format!(
        "{}{}",
        stand.server.url().replace("root", "shop"),
        stand.name
    )
    .into();
    let participant = stand.with(settings);
    participant.enlist(&crate::stand::enlist(1)).await.unwrap();
    prepared(&participant, &tx(1), &["p1"]).await;
    prepared(&participant, &tx(2), &["p2"]).await;
    sql(&mut root, "SET GLOBAL read_only = 1").await;
    let committed = commit(&participant, &tx(1), &["p1"]).await;
    if stand.world.is_mysql() {
        committed.unwrap();
    } else {
        assert!(
            matches!(committed, Err(Error::Busy { .. })),
            "{committed:?}"
        );
    }
    let busy = roll_back(&participant, &tx(2)).await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let vote = participant
        .prepare(&ask(&tx(3), entries(&["p3"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(vote, Err(Error::Busy { .. })), "{vote:?}");
    sql(&mut root, "SET GLOBAL read_only = 0").await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    roll_back(&participant, &tx(2)).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1"]);
    assert!(in_doubt(&participant).await.is_empty());
}

/// An administrator ends a branch, once its session has gone.
async fn by_hand(stand: &Stand, verb: &str, transaction: &TransactionId) {
    let statement = format!("XA {verb} {}", stand.xid(transaction));
    until("the participant's connections have gone", || async {
        stand.connections().await.is_empty()
    })
    .await;
    let mut root = stand.root().await;
    try_sql(&mut root, &statement).await.unwrap();
    close(root).await;
}
