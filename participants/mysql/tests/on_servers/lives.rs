//! Lives of the server: when another begins, and what a prepare proves.

use tandem_mysql::MysqlParticipant;
use tandem_participant::{Enlist, Error, Forget, Look, Participant, Recall, Recalled, Vote};
use tandem_protocol::{Epoch, TransactionId};

use crate::stand::{
    Stand, acknowledged, ask, ask_in, column, commit, copied, enlist, entries, entry, in_doubt,
    prepared, roll_back, sql, tx,
};

/// Prepares in a life and with what was acknowledged; gives the life of the vote.
async fn voted(
    participant: &MysqlParticipant,
    incarnation: &str,
    committed: &[TransactionId],
    sequence: u64,
) -> Result<String, Error> {
    let id = format!("p{sequence}");
    let ask = ask_in(incarnation, committed, &tx(sequence), &[&id]);
    match participant.prepare(&ask).await?.vote {
        Vote::Yes {
            refused,
            incarnation,
        } if refused.is_empty() => Ok(incarnation),
        vote => panic!("{vote:?}"),
    }
}

/// One purchase, prepared and committed.
async fn bought(participant: &MysqlParticipant, incarnation: &str, sequence: u64) {
    let life = voted(participant, incarnation, &[], sequence)
        .await
        .unwrap();
    assert_eq!(life, incarnation);
    let id = format!("p{sequence}");
    commit(participant, &tx(sequence), &[&id]).await.unwrap();
}

async fn recalled(participant: &MysqlParticipant, sequences: &[u64]) -> Result<Recalled, Error> {
    let recall = Recall {
        coordinator: "shop".parse().unwrap(),
        caller_epoch: Epoch(1),
        transactions: sequences.iter().copied().map(tx).collect(),
    };
    participant.recall(&recall).await
}

fn not_enlisted<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::NotEnlisted { detail }) => detail,
        answer => panic!("{answer:?}"),
    }
}

pub(crate) async fn a_life_holds_over_processes_and_epochs(stand: Stand) {
    let first = stand.fresh();
    let life = first.enlist(&enlist(1)).await.unwrap().incarnation;
    assert!(!life.is_empty());
    bought(&first, &life, 1).await;
    let again = first.enlist(&enlist(1)).await.unwrap();
    assert_eq!(again.incarnation, life);
    // A process that begins later serves a coordinator that has enlisted.
    let second = stand.fresh();
    let life_of_vote = voted(&second, &life, &[tx(1)], 2).await.unwrap();
    assert_eq!(life_of_vote, life);
    commit(&second, &tx(2), &["p2"]).await.unwrap();
    assert_eq!(
        recalled(&second, &[1, 2, 3]).await.unwrap().forgotten,
        [tx(3)]
    );
    let next = second.enlist(&enlist(2)).await.unwrap();
    assert_eq!(next.incarnation, life);
    not_enlisted(recalled(&first, &[1]).await);
}

/// The first round may begin in the same second as the server before it, the second does not.
pub(crate) async fn a_restart_begins_another_life(stand: Stand) {
    let participant = stand.fresh();
    let mut life = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    for sequence in [1, 2] {
        bought(&participant, &life, sequence).await;
        // A process that begins after the restart knows the run before by the second of its start alone.
        // What may be lost in a restart within one second its first prepare finds.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        stand.server.kill9().unwrap();
        stand.server.restart().unwrap();
        let early = stand.fresh();
        for asked in [&participant, &early] {
            not_enlisted(recalled(asked, &[sequence]).await);
        }
        not_enlisted(voted(&participant, &life, &[], sequence + 10).await);
        let next = participant.enlist(&enlist(1)).await.unwrap().incarnation;
        assert_ne!(next, life);
        let other_life = not_enlisted(voted(&participant, &life, &[], sequence + 10).await);
        assert!(other_life.contains(&life), "{other_life}");
        let kept = recalled(&participant, &[1, 2, 3]).await.unwrap();
        assert_eq!(kept.incarnation, next);
        let lost: Vec<TransactionId> = (sequence + 1..=3).map(tx).collect();
        assert_eq!(kept.forgotten, lost);
        assert!(in_doubt(&participant).await.is_empty());
        life = next;
    }
}

/// No session of a process that begins later can vouch for what the one before saw.
pub(crate) async fn a_commit_that_the_server_does_not_know_ends_its_life(stand: Stand) {
    let first = stand.fresh();
    let life = first.enlist(&enlist(1)).await.unwrap().incarnation;
    for sequence in 1..=3 {
        bought(&first, &life, sequence).await;
    }
    let unknown: TransactionId = "shop.1.99".parse().unwrap();
    let why = not_enlisted(voted(&first, &life, &[tx(3), unknown], 4).await);
    assert!(
        why.contains("shop.1.99") && !why.contains("shop.1.3"),
        "{why}"
    );
    assert!(in_doubt(&first).await.is_empty());

    // A roll back is no commit, and what is only prepared is none yet.
    roll_back(&first, &tx(5)).await.unwrap();
    voted(&first, &life, &[], 6).await.unwrap();
    for other in [5, 6] {
        not_enlisted(voted(&first, &life, &[tx(other)], 7).await);
    }
    assert_eq!(in_doubt(&first).await, [tx(6)]);
    commit(&first, &tx(6), &["p6"]).await.unwrap();

    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "DELETE FROM tandem_branches WHERE `sequence` = 2",
    )
    .await;
    let second = stand.fresh();
    let all: Vec<TransactionId> = [1, 2, 3, 6].map(tx).into();
    let why = not_enlisted(voted(&second, &life, &all, 7).await);
    assert!(why.contains("shop.1.2"), "{why}");
    let same = second.enlist(&enlist(1)).await.unwrap();
    assert_eq!(
        same.incarnation, life,
        "nobody has told it what it must know"
    );
    let told = Enlist {
        acknowledged: acknowledged(&all),
        ..enlist(1)
    };
    let next = second.enlist(&told).await.unwrap().incarnation;
    assert_ne!(next, life);
    not_enlisted(voted(&second, &life, &[], 7).await);
    not_enlisted(voted(&first, &life, &[], 7).await);
    assert_eq!(
        recalled(&second, &[1, 2, 3]).await.unwrap().forgotten,
        [tx(2)]
    );
    voted(&second, &next, &[tx(1), tx(3)], 7).await.unwrap();
    assert_eq!(in_doubt(&second).await, [tx(7)]);
}

pub(crate) async fn what_may_be_forgotten_is_not_missed(stand: Stand) {
    let participant = stand.fresh();
    let life = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    for sequence in 1..=4 {
        bought(&participant, &life, sequence).await;
    }
    let other = stand.fresh();
    voted(&other, &life, &[tx(1)], 5).await.unwrap();
    let forget = Forget {
        before: tx(4),
        except: Vec::new(),
        closed: None,
        caller_epoch: Epoch(1),
    };
    participant.forget(&forget).await.unwrap();
    let all: Vec<TransactionId> = (1..=4).map(tx).collect();
    let told = Enlist {
        acknowledged: acknowledged(&all),
        ..enlist(1)
    };
    let fresh = stand.fresh();
    voted(&fresh, &life, &all, 6).await.unwrap();
    // What has read the row before is overtaken once.
    let overtaken = voted(&other, &life, &all, 7).await;
    assert!(
        matches!(overtaken, Err(Error::Busy { .. })),
        "{overtaken:?}"
    );
    voted(&other, &life, &all, 7).await.unwrap();
    let same = participant.enlist(&told).await.unwrap().incarnation;
    assert_eq!(same, life);
}

/// Saves the look-up where it can't fail: the process that saw the commit goes on with sessions that
/// were open then. It is told here by a row that somebody deletes, which is no going back in time.
pub(crate) async fn a_session_vouches_for_what_was_committed_while_it_was_open(stand: Stand) {
    let participant = stand.fresh();
    let life = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    bought(&participant, &life, 1).await;
    bought(&participant, &life, 2).await;
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "DELETE FROM tandem_branches WHERE `sequence` = 2",
    )
    .await;
    voted(&participant, &life, &[tx(2)], 3).await.unwrap();
    // A session that is opened later knows nothing of it. Each prepared branch keeps one of those
    // that were open, of which there are a few: for branches, for listing, for looking at locks.
    if stand.world.ties() {
        let mut last = Ok(String::new());
        for sequence in 4..8 {
            if last.is_ok() {
                last = voted(&participant, &life, &[tx(2)], sequence).await;
            }
        }
        not_enlisted(last);
    }
}

pub(crate) async fn a_look_leaves_no_trace(stand: Stand) {
    let participant = stand.fresh();
    let look = Look {
        coordinator: "shop".parse().unwrap(),
    };
    let looked = participant.look(&look).await.unwrap();
    assert_eq!((looked.known, looked.newest_committed), (None, Vec::new()));
    let mut hand = stand.hand().await;
    let tables = "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = \
                  DATABASE()";
    assert_eq!(column(&mut hand, tables).await, ["0"]);

    participant.enlist(&enlist(3)).await.unwrap();
    let transaction: TransactionId = "shop.3.1".parse().unwrap();
    prepared(&participant, &transaction, &["p1"]).await;
    commit(&participant, &transaction, &["p1"]).await.unwrap();
    let rows = "SELECT CONCAT_WS(' ', coordinator, log_id, epoch, instance_id, incarnation, \
                connection_id) FROM tandem_coordinators JOIN tandem_lives USING (participant, \
                coordinator)";
    let before = column(&mut hand, rows).await;
    let looked = stand.fresh().look(&look).await.unwrap();
    let known = looked.known.unwrap();
    assert_eq!(known.log_id, enlist(3).log_id);
    assert_eq!(known.epoch, Epoch(3));
    assert_eq!(known.instance_id, enlist(3).instance_id);
    assert_eq!(looked.newest_committed, [transaction]);
    let other = Look {
        coordinator: "other".parse().unwrap(),
    };
    assert_eq!(participant.look(&other).await.unwrap().known, None);
    assert_eq!(column(&mut hand, rows).await, before);
}

pub(crate) async fn marker_rows_tell_what_is_in_their_branches(stand: Stand) {
    let participant = stand.enlisted().await;
    prepared(&participant, &tx(1), &["p1"]).await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    let ids = ["q0", "q1", "p1", "q3", "q4"];
    let mut ask = ask(&tx(2), entries(&ids));
    ask.entries.push(entry(9, "q9"));
    ask.participants = vec!["redis".parse().unwrap(), "mysql".parse().unwrap()];
    let vote = participant.prepare(&ask).await.unwrap().vote;
    assert!(matches!(vote, Vote::Yes { refused, .. } if refused.len() == 1));
    commit(&participant, &tx(2), &["q0", "q1", "", "q3", "q4"])
        .await
        .unwrap_err();
    let mut decided = crate::stand::decision(&tx(2), ask.entries.clone());
    decided.entries.retain(|entry| entry.number != 2);
    participant.commit(&decided).await.unwrap();
    let mut hand = stand.hand().await;
    let rows = "SELECT CONCAT(entries, ' ', participants) FROM tandem_branches ORDER BY `sequence`";
    assert_eq!(
        column(&mut hand, rows).await,
        ["0 ", "0-1,3-4,9 redis,mysql"]
    );
}

pub(crate) async fn what_is_closed_is_refused_and_forgotten(stand: Stand) {
    let participant = stand.enlisted().await;
    let old = stand.enlisted().await;
    voted(&old, "", &[], 1).await.unwrap();
    commit(&old, &tx(1), &["p1"]).await.unwrap();
    for sequence in [2, 3, 5, 6] {
        roll_back(&participant, &tx(sequence)).await.unwrap();
    }
    let forget = |closed| Forget {
        before: tx(1),
        except: Vec::new(),
        closed: Some(tx(closed)),
        caller_epoch: Epoch(1),
    };
    let mut hand = stand.hand().await;
    let rows = "SELECT CAST(`sequence` AS CHAR) FROM tandem_branches ORDER BY `sequence`";
    participant.forget(&forget(5)).await.unwrap();
    assert_eq!(column(&mut hand, rows).await, ["1", "5", "6"]);
    // A process that has not heard of it is refused by the store itself.
    for (asked, sequence) in [(&participant, 2), (&participant, 4), (&stand.fresh(), 3)] {
        let late = asked.prepare(&ask(&tx(sequence), entries(&["late"]))).await;
        assert!(matches!(late.unwrap().vote, Vote::No { .. }));
    }
    let late = old.prepare(&ask(&tx(4), entries(&["late"]))).await;
    assert!(matches!(late, Err(Error::Busy { .. })), "{late:?}");
    let late = old.prepare(&ask(&tx(4), entries(&["late"]))).await;
    assert!(matches!(late.unwrap().vote, Vote::No { .. }));
    // A roll back that is repeated late is remembered and forgotten again.
    roll_back(&participant, &tx(3)).await.unwrap();
    participant.forget(&forget(6)).await.unwrap();
    assert_eq!(column(&mut hand, rows).await, ["1", "6"]);
    participant.forget(&forget(5)).await.unwrap();
    prepared(&participant, &tx(7), &["p7"]).await;
    assert_eq!(in_doubt(&participant).await, [tx(7)]);
}

/// A backup of the data folder, made while the server is stopped, and put back later.
pub(crate) async fn a_server_put_back_in_time_is_noticed_and_asked_for_everything(stand: Stand) {
    let participant = stand.fresh();
    let mut life = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    bought(&participant, &life, 1).await;
    voted(&participant, &life, &[], 2).await.unwrap();
    let data = stand.server.data_dir();
    let backup = copied(&stand.server, &data).unwrap();
    life = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    commit(&participant, &tx(2), &["p2"]).await.unwrap();
    for sequence in 3..=12 {
        bought(&participant, &life, sequence).await;
    }
    stand.server.stop().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(backup.path().join("data"), &data).unwrap();
    stand.server.restart().unwrap();

    let newest: Vec<TransactionId> = (5..=12).map(tx).collect();
    not_enlisted(voted(&participant, &life, &newest, 13).await);
    let told = Enlist {
        acknowledged: acknowledged(&newest),
        ..enlist(1)
    };
    let next = participant.enlist(&told).await.unwrap().incarnation;
    assert_ne!(next, life);
    let everything: Vec<u64> = (1..=12).collect();
    let lost = recalled(&participant, &everything).await.unwrap().forgotten;
    assert_eq!(lost, (2..=12).map(tx).collect::<Vec<_>>());
    assert_eq!(
        in_doubt(&participant).await,
        [tx(2)],
        "it was prepared in the backup"
    );
    commit(&participant, &tx(2), &["p2"]).await.unwrap();
    assert_eq!(stand.purchases().await, ["p1", "p2"]);
}
