//! What is remembered of ended transactions, and for how long.

use tandem_participant::{BranchState, CommitEvidence, Error, Participant};
use tandem_protocol::Reason;

use crate::stage::{assert_no, commit, forget, id, on_each_server, prepare, refused, roll_back};

#[tokio::test]
async fn what_is_forgotten_is_neither_prepared_nor_committed_again() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        for id in ["shop.1.1", "shop.1.2"] {
            stage.prepare(id, &[&[("tea", 1)]]).await;
            stage.commit(id, &[&[("tea", 1)]]).await;
        }
        stage.forget("shop.1.4", &[]).await;

        let late = stage
            .participant
            .commit(&commit("shop.1.1", &[&[("tea", 1)]]))
            .await;
        assert!(matches!(late, Err(Error::Invalid { .. })), "{late:?}");
        assert_no(&stage.prepare("shop.1.3", &[&[("tea", 1)]]).await, "forget");
        stage.roll_back("shop.1.3").await;
        assert_eq!(
            stage.cli::<i64>("EXISTS tandem:released:shop:stock").await,
            0
        );
        // The newest commit tells a stale log, so it alone stays remembered.
        let newest = stage.commit("shop.1.2", &[&[("tea", 1)]]).await;
        assert_eq!(newest.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
        let truth = stage.participant.inspect(&id("shop.1.1")).await.unwrap();
        assert_eq!(truth.state, BranchState::Absent);

        let vote = stage.prepare("shop.1.4", &[&[("tea", 1)]]).await;
        assert_eq!(refused(&vote), []);
    })
    .await;
}

#[tokio::test]
async fn exceptions_stay_remembered_below_the_floor() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        for n in [1, 2, 3] {
            let id = format!("shop.1.{n}");
            stage.prepare(&id, &[&[("tea", 1)]]).await;
            stage.commit(&id, &[&[("tea", 1)]]).await;
        }
        stage.forget("shop.2.1", &["shop.1.2", "shop.1.9"]).await;
        let kept: Vec<String> = stage.cli("ZRANGE tandem:committed:shop:stock 0 -1").await;
        // The newest commit stays too: it tells a stale log.
        assert_eq!(kept, ["a1.a2", "a1.a3"]);
        let again = stage.commit("shop.1.2", &[&[("tea", 1)]]).await;
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        // Excepted and never seen: its branch was lost, and its decision is not forgotten.
        let lost = stage.commit("shop.1.9", &[&[("tea", 1)]]).await;
        assert_eq!(lost.evidence, CommitEvidence::Redone);
        assert_eq!(stage.value_and_held("tea").await, (5, 0));

        stage.forget("shop.2.1", &[]).await;
        let kept: Vec<String> = stage.cli("ZRANGE tandem:committed:shop:stock 0 -1").await;
        assert_eq!(kept, ["a1.a9"]);
        assert_eq!(
            stage.cli::<i64>("EXISTS tandem:excepted:shop:stock").await,
            0
        );
    })
    .await;
}

#[tokio::test]
async fn a_late_forget_does_not_lower_the_floor() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.forget("shop.1.5", &[]).await;
        stage.forget("shop.1.2", &["shop.1.1"]).await;
        assert_no(&stage.prepare("shop.1.1", &[&[("tea", 1)]]).await, "forget");
        assert_no(&stage.prepare("shop.1.3", &[&[("tea", 1)]]).await, "forget");
    })
    .await;
}

#[tokio::test]
async fn a_hold_below_the_floor_can_still_be_ended() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.prepare("shop.1.2", &[&[("tea", 2)]]).await;
        stage.forget("shop.1.5", &[]).await;
        stage.roll_back("shop.1.1").await;
        let late = stage.commit("shop.1.2", &[&[("tea", 2)]]).await;
        assert_eq!(late.evidence, CommitEvidence::Applied);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn forgetting_takes_all_memory_in_more_than_one_batch() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 1").await;
        // So many would not let each other connect in time on one thread of a busy machine.
        stage.prepare("shop.1.1", &[&[("tea", 2)]]).await;
        let mut calls = tokio::task::JoinSet::new();
        for n in 1..=3_000 {
            let participant = stage.participant.clone();
            calls.spawn(async move {
                let refused = prepare(&format!("shop.1.{n}"), &[&[("tea", 2)]]);
                participant
                    .prepare(&refused)
                    .await
                    .map(|voted| voted.vote)
                    .unwrap();
                let aborted = roll_back(&format!("kiosk.1.{n}"));
                participant.roll_back(&aborted).await.unwrap();
            });
        }
        calls.join_all().await;
        stage.forget("shop.1.2990", &["shop.1.7"]).await;
        assert_eq!(
            stage.cli::<i64>("ZCARD tandem:released:shop:stock").await,
            12
        );
        assert_eq!(stage.cli::<i64>("HLEN tandem:answers:shop:stock").await, 12);
        let vote = stage.prepare("shop.1.7", &[&[("tea", 2)]]).await;
        assert_eq!(refused(&vote), [(0, Reason::InsufficientStock)]);
        // Another coordinator's memory is its own.
        assert_eq!(
            stage.cli::<i64>("ZCARD tandem:released:kiosk:stock").await,
            3_000
        );
    })
    .await;
}

#[tokio::test]
async fn coordinators_do_not_touch_each_other() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.prepare("kiosk.1.1", &[&[("tea", 2)]]).await;
        stage.roll_back("shop.1.1").await;
        stage.forget("shop.9.9", &[]).await;
        assert_eq!(stage.value_and_held("tea").await, (9, 2));
        let committed = stage.commit("kiosk.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(committed.evidence, CommitEvidence::Applied);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
        assert!(
            stage
                .participant
                .forget(&forget("kiosk.1.1", &[]))
                .await
                .is_ok()
        );
        let again = stage.commit("kiosk.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
    })
    .await;
}

#[tokio::test]
async fn no_key_of_tandems_has_a_time_to_live() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.enlist(1, "i").await.unwrap();
        stage
            .prepare("shop.1.1", &[&[("tea", 1)], &[("milk", 1)]])
            .await;
        stage.commit("shop.1.2", &[&[("milk", 1)]]).await;
        stage.roll_back("shop.1.3").await;
        stage.forget("shop.1.3", &["shop.1.1"]).await;
        let keys = stage.keys("tandem:").await;
        assert!(keys.len() >= 8, "{keys:?}");
        for key in keys {
            assert_eq!(stage.cli::<i64>(&format!("TTL {key}")).await, -1, "{key}");
        }
    })
    .await;
}
