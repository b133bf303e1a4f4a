//! Stale coordinators are refused.

use tandem_participant::{Error, Participant};
use tandem_protocol::Epoch;

use crate::stage::{commit, enlist, forget, id, on_each_server, prepare, roll_back};

fn detail(answer: Result<impl std::fmt::Debug, Error>) -> String {
    match answer {
        Err(Error::Fenced { detail }) => detail,
        other => panic!("not fenced: {other:?}"),
    }
}

#[tokio::test]
async fn older_epochs_other_processes_and_other_logs_are_fenced() {
    on_each_server(async |stage| {
        stage.enlist(3, "i").await.unwrap();
        stage.enlist(3, "i").await.unwrap();
        assert!(detail(stage.enlist(3, "j").await).contains("another process"));
        assert!(detail(stage.enlist(2, "i").await).contains("epoch 3"));
        let other = enlist("shop", "log-b", 9, "i");
        assert!(detail(stage.participant.enlist(&other).await).contains("log-a"));
        stage.enlist(4, "j").await.unwrap();
        let kiosk = enlist("kiosk", "log-b", 1, "k");
        stage.participant.enlist(&kiosk).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn calls_of_an_older_epoch_are_fenced_and_change_nothing() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.enlist(2, "i").await.unwrap();
        let cart: &[&[(&str, u32)]] = &[&[("tea", 1)]];
        let participant = &stage.participant;
        detail(
            participant
                .prepare(&prepare("shop.1.2", cart))
                .await
                .map(|voted| voted.vote),
        );
        detail(participant.commit(&commit("shop.1.1", cart)).await);
        detail(participant.roll_back(&roll_back("shop.1.1")).await);
        detail(participant.forget(&forget("shop.1.2", &[])).await);
        assert_eq!(stage.value_and_held("tea").await, (5, 1));

        let mut decision = commit("shop.1.1", cart);
        decision.caller_epoch = Epoch(2);
        participant.commit(&decision).await.unwrap();
        assert_eq!(stage.value_and_held("tea").await, (4, 0));
    })
    .await;
}

#[tokio::test]
async fn a_fence_outlives_a_killed_server() {
    on_each_server(async |stage| {
        stage.enlist(7, "i").await.unwrap();
        stage.server.kill9().unwrap();
        stage.server.restart().unwrap();
        let _ = stage.participant.list_prepared().await;
        assert!(detail(stage.enlist(6, "i").await).contains("epoch 7"));
    })
    .await;
}

#[tokio::test]
async fn enlisting_tells_the_newest_commits() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 500").await;
        for n in 1..=70 {
            stage.commit(&format!("shop.1.{n}"), &[&[("tea", 1)]]).await;
        }
        stage.commit("shop.2.1", &[&[("tea", 1)]]).await;
        stage.commit("kiosk.8.1", &[&[("tea", 1)]]).await;
        let enlisted = stage.enlist(3, "i").await.unwrap();
        assert_eq!(enlisted.newest_committed.len(), 64);
        assert!(enlisted.newest_committed.contains(&id("shop.2.1")));
        assert!(enlisted.newest_committed.contains(&id("shop.1.70")));
        assert!(!enlisted.newest_committed.contains(&id("shop.1.7")));
        assert!(enlisted.refuses_singly);
        let life = enlisted.incarnation;
        assert!(life.parse::<u64>().is_ok(), "{life}");
    })
    .await;
}
