//! A branch's plain life, repeated and reordered calls, and what bounds them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_mysql::{MysqlParticipant, Settings};
use tandem_participant::{
    BranchState, CommitEvidence, Error, Forget, Participant, PreparedId, Vote,
};
use tandem_protocol::Epoch;

use crate::stand::{
    Stand, ask, column, commit, decision, entries, in_doubt, prepared, roll_back, sql, tx, until,
};

pub(crate) async fn a_commit_writes_the_rows_once(stand: Stand) {
    let participant = stand.enlisted().await;
    let transaction = tx(1);
    prepared(&participant, &transaction, &["p1", "p2"]).await;
    assert_eq!(in_doubt(&participant).await, [tx(1)]);
    let listed = participant.list_prepared().await.unwrap();
    let branch = listed
        .iter()
        .find(|branch| branch.id == PreparedId::Transaction(transaction.clone()))
        .unwrap();
    assert!(branch.prepare_time.unwrap().0 > 1_600_000_000_000);
    let state = participant.inspect(&transaction).await.unwrap().state;
    assert_eq!(state, BranchState::Prepared);
    assert!(stand.purchases().await.is_empty());

    let done = commit(&participant, &transaction, &["p1", "p2"])
        .await
        .unwrap();
    assert_eq!(done.evidence, CommitEvidence::Applied);
    assert_eq!(stand.purchases().await, ["p1", "p2"]);
    let mut hand = stand.hand().await;
    let items = "SELECT CONCAT(purchase_id, ' ', sku, ' ', quantity) FROM purchase_items \
                 ORDER BY 1";
    assert_eq!(
        column(&mut hand, items).await,
        ["p1 apple 2", "p1 pear 1", "p2 apple 2", "p2 pear 1"]
    );
    let totals = "SELECT CAST(SUM(total_minor) AS CHAR) FROM purchases";
    assert_eq!(column(&mut hand, totals).await, ["1500"]);

    let again = commit(&participant, &transaction, &["p1", "p2"])
        .await
        .unwrap();
    assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
    let state = participant.inspect(&transaction).await.unwrap().state;
    assert_eq!(state, BranchState::Committed);
    let late = participant
        .prepare(&ask(&transaction, entries(&["p3"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(late, Ok(Vote::No { .. })), "{late:?}");
    assert!(in_doubt(&participant).await.is_empty());
}

pub(crate) async fn a_roll_back_leaves_nothing_and_a_late_prepare_is_refused(stand: Stand) {
    let participant = stand.enlisted().await;
    let transaction = tx(1);
    prepared(&participant, &transaction, &["p1"]).await;
    roll_back(&participant, &transaction).await.unwrap();
    roll_back(&participant, &transaction).await.unwrap();
    assert!(in_doubt(&participant).await.is_empty());
    let state = participant.inspect(&transaction).await.unwrap().state;
    assert_eq!(state, BranchState::RolledBack);
    let late = participant
        .prepare(&ask(&transaction, entries(&["p1"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(late, Ok(Vote::No { .. })), "{late:?}");
    assert!(in_doubt(&participant).await.is_empty());
    // The same purchase in another transaction is not held back by the first.
    prepared(&participant, &tx(2), &["p1"]).await;
    commit(&participant, &tx(2), &["p1"]).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1"]);
}

pub(crate) async fn a_roll_back_before_its_prepare_refuses_it_in_the_next_process_too(
    stand: Stand,
) {
    let participant = stand.enlisted().await;
    roll_back(&participant, &tx(1)).await.unwrap();
    drop(participant);
    let next = stand.fresh();
    let late = next
        .prepare(&ask(&tx(1), entries(&["p1"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(late, Ok(Vote::No { .. })), "{late:?}");
    assert!(in_doubt(&next).await.is_empty());
}

pub(crate) async fn a_repeated_prepare_has_the_same_vote(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["p1"]).await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    let first = participant
        .prepare(&ask(&tx(2), entries(&["p1", "p2"])))
        .await
        .map(|voted| voted.vote)
        .unwrap();
    let second = participant
        .prepare(&ask(&tx(2), entries(&["p1", "p2"])))
        .await
        .map(|voted| voted.vote)
        .unwrap();
    assert_eq!(first, second);
    assert!(matches!(&first, Vote::Yes { refused, .. } if refused.len() == 1));
    // The next process does not know the vote, and leaves the branch as it is.
    let other = stand
        .fresh()
        .prepare(&ask(&tx(2), entries(&["p1", "p2"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(other, Ok(Vote::No { .. })), "{other:?}");
    assert_eq!(in_doubt(&participant).await, [tx(2)]);
}

pub(crate) async fn a_running_prepare_is_ended_by_its_roll_back(stand: Stand) {
    let mut settings = stand.settings();
    settings.lock_wait_timeout_s = 30;
    settings.statement_timeout_ms = 40_000;
    let participant = Arc::new(enlisted_with(&stand, settings).await);
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "BEGIN; INSERT INTO purchases VALUES ('p1', 'c', 'EUR', 1, 't', NOW(3))",
    )
    .await;
    let running = tokio::spawn({
        let participant = Arc::clone(&participant);
        async move {
            let mut prepare = ask(&tx(1), entries(&["p1"]));
            prepare.timeout = Duration::from_secs(35);
            participant.prepare(&prepare).await.map(|voted| voted.vote)
        }
    });
    until("the prepare waits for the lock", || async {
        let mut root = stand.root().await;
        let query = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE \
                     'INSERT INTO purchases%'";
        column(&mut root, query).await == ["1"]
    })
    .await;
    let begun = Instant::now();
    roll_back(&participant, &tx(1)).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    // tandem has ended it, which says nothing about the server.
    let vote = running.await.unwrap();
    assert!(matches!(vote, Err(Error::Busy { .. })), "{vote:?}");
    sql(&mut hand, "ROLLBACK").await;
    assert!(in_doubt(&participant).await.is_empty());
    let late = participant
        .prepare(&ask(&tx(1), entries(&["p1"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(late, Ok(Vote::No { .. })), "{late:?}");
}

pub(crate) async fn a_prepare_ends_at_its_deadline(stand: Stand) {
    let mut settings = stand.settings();
    settings.lock_wait_timeout_s = 5;
    let participant = enlisted_with(&stand, settings).await;
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "BEGIN; INSERT INTO purchases VALUES ('p1', 'c', 'EUR', 1, 't', NOW(3))",
    )
    .await;
    let mut prepare = ask(&tx(1), entries(&["p1"]));
    prepare.timeout = Duration::from_millis(400);
    let connections = stand.connections().await;
    let begun = Instant::now();
    let vote = participant.prepare(&prepare).await.map(|voted| voted.vote);
    assert!(matches!(vote, Err(Error::Busy { .. })), "{vote:?}");
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "{:?}",
        begun.elapsed()
    );
    // The session that waited goes on, with nothing in it.
    let still = stand.connections().await;
    assert!(
        connections.iter().all(|id| still.contains(id)),
        "{connections:?} {still:?}"
    );
    sql(&mut hand, "ROLLBACK").await;
    roll_back(&participant, &tx(1)).await.unwrap();
    assert!(in_doubt(&participant).await.is_empty());
    prepared(&participant, &tx(2), &["p1"]).await;
}

pub(crate) async fn a_decision_does_not_wait_for_sessions_that_prepares_use(stand: Stand) {
    let mut settings = stand.settings();
    settings.sessions_max = 1;
    let participant = enlisted_with(&stand, settings).await;
    prepared(&participant, &tx(1), &["p1"]).await;
    let mut second = ask(&tx(2), entries(&["p2"]));
    second.timeout = Duration::from_millis(300);
    let vote = participant.prepare(&second).await.map(|voted| voted.vote);
    if stand.world.ties() {
        let Err(Error::Busy { detail }) = vote else {
            panic!("{vote:?}");
        };
        assert!(detail.contains("all 1 branch sessions"), "{detail}");
    } else {
        assert!(matches!(vote, Ok(Vote::Yes { .. })), "{vote:?}");
    }
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    prepared(&participant, &tx(3), &["p3"]).await;
}

pub(crate) async fn foreign_branches_are_listed_and_left_alone(stand: Stand) {
    let participant = stand.enlisted().await;
    let mut hand = stand.hand().await;
    let name = &stand.name;
    // Of another format, of another participant, and no transaction's name.
    for xid in [
        format!("'shop.1.1','{name}',1"),
        format!("'shop.1.1','{name}x',1952542308"),
        format!("x'27ff','{name}',1952542308"),
    ] {
        let branch = format!(
            "XA START {xid}; INSERT INTO purchase_items VALUES (CONNECTION_ID(), 's', 1, 1); \
             XA END {xid}; XA PREPARE {xid}"
        );
        sql(&mut hand, &branch).await;
        hand = stand.hand().await;
    }
    roll_back(&participant, &tx(1)).await.unwrap();
    let listed = participant.list_prepared().await.unwrap();
    let mut foreign: Vec<String> = listed
        .into_iter()
        .filter_map(|branch| match branch.id {
            PreparedId::Foreign(text) if text.contains(name) => Some(text),
            _ => None,
        })
        .collect();
    foreign.sort();
    assert_eq!(
        foreign,
        [
            format!("1952542308:\\'\\xff:{name}"),
            format!("1952542308:shop.1.1:{name}x"),
            format!("1:shop.1.1:{name}"),
        ]
    );
}

/// Two shops on one server whose participants and coordinators have the same names: transactions
/// have the same ids, and must not be taken for each other's.
pub(crate) async fn a_namesake_in_another_database_is_left_alone(stand: Stand) {
    let mut root = stand.root().await;
    let database = format!("{}-b", stand.name);
    sql(&mut root, &format!("CREATE DATABASE `{database}`")).await;
    let mut settings = stand.settings();
    settings.url = format!("{}{database}", stand.server.url()).into();
    let namesake = stand.with(settings);
    namesake.enlist(&crate::stand::enlist(1)).await.unwrap();
    prepared(&namesake, &tx(1), &["theirs"]).await;

    let participant = stand.enlisted().await;
    assert!(in_doubt(&participant).await.is_empty());
    let vote = participant
        .prepare(&ask(&tx(1), entries(&["ours"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(vote, Ok(Vote::No { .. })), "{vote:?}");
    roll_back(&participant, &tx(1)).await.unwrap();
    assert_eq!(in_doubt(&namesake).await, [tx(1)]);
    commit(&namesake, &tx(1), &["theirs"]).await.unwrap();
}

/// More statements than fit one packet, or one TLS record, with a bad entry among them.
pub(crate) async fn a_large_branch_is_whole(stand: Stand) {
    let participant = stand.enlisted().await;
    let ids: Vec<String> = (0..300)
        .map(|n| format!("purchase-with-a-long-id-{n:04}"))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    prepared(&participant, &tx(1), &ids[150..151]).await;
    commit(&participant, &tx(1), &ids[150..151]).await.unwrap();
    let vote = participant
        .prepare(&ask(&tx(2), entries(&ids)))
        .await
        .map(|voted| voted.vote)
        .unwrap();
    assert!(
        matches!(&vote, Vote::Yes { refused, .. } if refused.len() == 1 && refused[0].number == 150),
        "{vote:?}"
    );
    let mut survivors = entries(&ids);
    survivors.remove(150);
    participant
        .commit(&decision(&tx(2), survivors))
        .await
        .unwrap();
    assert_eq!(stand.purchases().await, ids);
    let mut hand = stand.hand().await;
    let items = "SELECT COUNT(*) FROM purchase_items";
    assert_eq!(column(&mut hand, items).await, ["600"]);
}

pub(crate) async fn forgetting_spares_branches_in_doubt_and_those_named(stand: Stand) {
    let participant = stand.enlisted().await;
    for sequence in 1..=5 {
        let id = format!("p{sequence}");
        prepared(&participant, &tx(sequence), &[&id]).await;
        if sequence != 3 {
            commit(&participant, &tx(sequence), &[&id]).await.unwrap();
        }
    }
    roll_back(&participant, &tx(6)).await.unwrap();
    roll_back(&participant, &tx(8)).await.unwrap();
    let forget = Forget {
        before: tx(7),
        except: vec![tx(2), tx(3)],
        closed: None,
        caller_epoch: Epoch(1),
    };
    // A wait for the branch in doubt would end with the lock timeout's error.
    participant.forget(&forget).await.unwrap();
    let mut hand = stand.hand().await;
    let left = "SELECT CAST(`sequence` AS CHAR) FROM tandem_branches ORDER BY `sequence`";
    // 5 is the newest commit, by which a stale log is told.
    assert_eq!(column(&mut hand, left).await, ["2", "5", "8"]);
    let state = participant.inspect(&tx(1)).await.unwrap().state;
    assert_eq!(state, BranchState::Absent);

    // What is forgotten can't come back, here or in the next process.
    for participant in [&participant, &stand.fresh()] {
        let late = participant
            .prepare(&ask(&tx(6), entries(&["p6"])))
            .await
            .map(|voted| voted.vote);
        assert!(matches!(late, Ok(Vote::No { .. })), "{late:?}");
    }
    commit(&participant, &tx(3), &["p3"]).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1", "p2", "p3", "p4", "p5"]);
}

pub(crate) async fn a_server_that_is_not_there_is_named(stand: Stand) {
    let mut settings = Settings::new("mysql://me:hunter2@127.0.0.1:9/shop".to_owned().into());
    settings.connect_timeout_ms = 500;
    let participant = stand.with(settings);
    for error in [
        participant.describe().await.unwrap_err(),
        participant
            .prepare(&ask(&tx(1), entries(&["p1"])))
            .await
            .map(|voted| voted.vote)
            .unwrap_err(),
        roll_back(&participant, &tx(1)).await.unwrap_err(),
    ] {
        let Error::Unavailable { detail } = error else {
            panic!("{error:?}");
        };
        assert!(detail.contains("127.0.0.1:9/shop as me"), "{detail}");
        assert!(!detail.contains("hunter2"), "{detail}");
    }
    let mut wrong = stand.settings();
    wrong.url = format!(
        "{}{}",
        stand.server.url().replace("root", "nobody"),
        stand.name
    )
    .into();
    let error = stand.with(wrong).describe().await.unwrap_err();
    assert!(error.to_string().contains("Access denied"), "{error}");
}

pub(crate) async fn a_commit_of_other_entries_than_prepared_is_refused(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["p1", "p2"]).await;
    let wrong = commit(&participant, &tx(1), &["p1"]).await;
    assert!(matches!(wrong, Err(Error::Invalid { .. })), "{wrong:?}");
    assert!(stand.purchases().await.is_empty());
    commit(&participant, &tx(1), &["p1", "p2"]).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1", "p2"]);
}

async fn enlisted_with(stand: &Stand, settings: Settings) -> MysqlParticipant {
    let participant = stand.with(settings);
    participant.enlist(&crate::stand::enlist(1)).await.unwrap();
    participant
}
