//! Fencing, and what a coordinator learns when it enlists.

use std::time::{Duration, Instant};

use tandem_participant::{Enlist, Error, Forget, Participant, RollBack, Vote};
use tandem_protocol::{Epoch, TransactionId};

use crate::stand::{
    SQL_MODES, Stand, ask, commit, enlist, entries, in_doubt, in_sql_mode, prepared, roll_back, tx,
};

pub(crate) async fn a_stale_coordinator_is_fenced(stand: Stand) {
    let participant = stand.fresh();
    participant.enlist(&enlist(3)).await.unwrap();
    participant.enlist(&enlist(3)).await.unwrap();
    let stale = [
        enlist(2),
        Enlist {
            instance_id: "another".into(),
            ..enlist(3)
        },
        Enlist {
            log_id: "log-2".into(),
            ..enlist(4)
        },
    ];
    for participant in [&participant, &stand.fresh()] {
        for enlist in &stale {
            let fenced = participant.enlist(enlist).await;
            assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
        }
        let vote = participant
            .prepare(&ask(&tx(1), entries(&["p1"])))
            .await
            .map(|voted| voted.vote);
        assert!(matches!(vote, Err(Error::Fenced { .. })), "{vote:?}");
        let done = roll_back(participant, &tx(1)).await;
        assert!(matches!(done, Err(Error::Fenced { .. })), "{done:?}");
        let forget = Forget {
            before: tx(1),
            except: Vec::new(),
            closed: None,
            caller_epoch: Epoch(2),
        };
        let done = participant.forget(&forget).await;
        assert!(matches!(done, Err(Error::Fenced { .. })), "{done:?}");
    }
    // The coordinator of the new epoch may end what an old one began.
    let roll_back = RollBack {
        transaction: tx(1),
        caller_epoch: Epoch(3),
    };
    participant.roll_back(&roll_back).await.unwrap();
    participant.enlist(&enlist(4)).await.unwrap();
    // Another coordinator is another matter.
    let other = Enlist {
        coordinator: "other".parse().unwrap(),
        ..enlist(1)
    };
    participant.enlist(&other).await.unwrap();
}

/// The old coordinator's participant has not heard of the new epoch: the server refuses.
pub(crate) async fn a_prepare_is_fenced_by_the_store_itself(stand: Stand) {
    let old = stand.enlisted().await;
    prepared(&old, &tx(1), &["p1"]).await;
    let mut others = Vec::new();
    for _ in SQL_MODES {
        others.push(stand.enlisted().await);
    }
    let new = stand.fresh();
    new.enlist(&enlist(2)).await.unwrap();
    let ask = ask(&tx(2), entries(&["p2"]));
    let vote = old.prepare(&ask).await.map(|voted| voted.vote);
    assert!(matches!(vote, Err(Error::Fenced { .. })), "{vote:?}");
    let mut hand = stand.hand().await;
    for (other, mode) in others.iter().zip(SQL_MODES) {
        let vote = in_sql_mode(&mut hand, mode, other.prepare(&ask)).await;
        assert!(
            matches!(vote, Err(Error::Fenced { .. })),
            "{mode}: {vote:?}"
        );
    }
    assert_eq!(in_doubt(&new).await, [tx(1)]);
}

pub(crate) async fn enlisting_tells_the_newest_commits_and_waits_for_no_branch(stand: Stand) {
    let participant = stand.enlisted().await;
    for sequence in 1..=70 {
        let id = format!("p{sequence}");
        prepared(&participant, &tx(sequence), &[&id]).await;
        if sequence == 69 {
            continue;
        }
        commit(&participant, &tx(sequence), &[&id]).await.unwrap();
    }
    roll_back(&participant, &tx(71)).await.unwrap();
    let begun = Instant::now();
    let mut newest = stand
        .fresh()
        .enlist(&enlist(2))
        .await
        .unwrap()
        .newest_committed;
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    newest.sort();
    let expected: Vec<TransactionId> = (6..=70).filter(|n| *n != 69).map(tx).collect();
    assert_eq!(newest, expected);
    let late = participant
        .prepare(&ask(&"shop.2.1".parse().unwrap(), entries(&["q"])))
        .await
        .map(|voted| voted.vote);
    assert!(matches!(late, Ok(Vote::Yes { .. })), "{late:?}");
}
