//! Servers that are full, dead, slow or forgetful.

use std::time::{Duration, Instant};

use tandem_participant::{BranchState, CommitEvidence, Error, Participant, Vote};

use crate::stage::{commit, id, on_each_server, prepare, refused};

/// Calls until the restarted server answers: the first call may meet the old connection's end.
async fn until_reachable(stage: &crate::stage::Stage) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = stage.participant.list_prepared().await {
        assert!(Instant::now() < deadline, "{error}");
    }
}

#[tokio::test]
async fn at_the_memory_limit_decisions_are_carried_out_and_promises_are_refused() {
    on_each_server(async |stage| {
        let () = stage.cli("MSET stock:tea 9 stock:jam 9").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.prepare("shop.1.2", &[&[("tea", 2)]]).await;
        let () = stage.cli("CONFIG SET maxmemory 1").await;

        let before = stage.keys("").await;
        let promise = prepare("shop.1.3", &[&[("jam", 1)]]);
        let full = stage
            .participant
            .prepare(&promise)
            .await
            .map(|voted| voted.vote);
        assert!(matches!(full, Err(Error::Busy { .. })), "{full:?}");
        assert_eq!(stage.keys("").await, before);

        stage.commit("shop.1.1", &[&[("tea", 1)]]).await;
        stage.roll_back("shop.1.2").await;
        let lost = stage
            .commit("shop.1.4", &[&[("tea", 1), ("milk", 1)]])
            .await;
        assert_eq!(lost.evidence, CommitEvidence::Redone);
        stage.enlist(2, "i").await.unwrap();
        let mut forget = crate::stage::forget("shop.1.4", &[]);
        forget.caller_epoch.0 = 2;
        stage.participant.forget(&forget).await.unwrap();
        let truth = stage.participant.inspect(&id("shop.1.4")).await.unwrap();
        assert_eq!(truth.state, BranchState::Committed);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
    })
    .await;
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_loaded_again() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        for n in 1..=3 {
            let id = format!("shop.1.{n}");
            let () = stage.cli("SCRIPT FLUSH").await;
            stage.prepare(&id, &[&[("tea", 1)]]).await;
            let () = stage.cli("SCRIPT FLUSH").await;
            stage.commit(&id, &[&[("tea", 1)]]).await;
        }
        assert_eq!(stage.value_and_held("tea").await, (6, 0));
    })
    .await;
}

#[tokio::test]
async fn a_killed_server_keeps_its_promises_and_starts_a_new_life() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        let first = stage
            .prepare("shop.1.1", &[&[("tea", 2)], &[("tea", 99)]])
            .await;
        stage.server.kill9().unwrap();
        let dead = stage.participant.list_prepared().await.unwrap_err();
        assert!(matches!(dead, Error::Unavailable { .. }), "{dead:?}");
        stage.server.restart().unwrap();
        until_reachable(stage).await;
        stage.enlist(1, "i").await.unwrap();

        let again = stage
            .prepare("shop.1.1", &[&[("tea", 2)], &[("tea", 99)]])
            .await;
        assert_eq!(refused(&again), refused(&first));
        let (Vote::Yes { incarnation: a, .. }, Vote::Yes { incarnation: b, .. }) = (&first, &again)
        else {
            panic!("{first:?} {again:?}");
        };
        assert_ne!(a, b);
        let committed = stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(committed.evidence, CommitEvidence::Applied);
        stage.server.kill9().unwrap();
        stage.server.restart().unwrap();
        until_reachable(stage).await;
        stage.enlist(1, "i").await.unwrap();
        let committed = stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(committed.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
    })
    .await;
}

#[tokio::test]
async fn a_dead_server_is_unavailable_and_the_error_says_where() {
    on_each_server(async |stage| {
        stage.server.kill9().unwrap();
        let error = stage.enlist(1, "i").await.unwrap_err();
        let Error::Unavailable { detail } = &error else {
            panic!("{error:?}");
        };
        let port = stage.server.port().to_string();
        assert!(detail.contains(&port), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn a_hung_server_costs_the_deadline_and_what_was_asked_may_still_happen() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        let hasty = stage.participant(|settings| {
            settings.connect_timeout_ms = 200;
            settings.response_timeout_ms = 200;
        });
        let carts: &[&[(&str, u32)]] = &[&[("tea", 2)]];
        hasty
            .prepare(&prepare("shop.1.1", carts))
            .await
            .map(|voted| voted.vote)
            .unwrap();
        stage.server.pause().unwrap();
        let began = Instant::now();
        let error = hasty.commit(&commit("shop.1.1", carts)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(
            error.to_string().contains("may still take effect"),
            "{error}"
        );
        let error = hasty.commit(&commit("shop.1.1", carts)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(3));
        stage.server.resume().unwrap();
        hasty.commit(&commit("shop.1.1", carts)).await.unwrap();
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
    })
    .await;
}

#[tokio::test]
async fn many_callers_of_an_unreachable_server_wait_for_one_deadline() {
    on_each_server(async |stage| {
        let hasty = std::sync::Arc::new(stage.participant(|settings| {
            settings.connect_timeout_ms = 300;
        }));
        stage.server.pause().unwrap();
        let began = Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let hasty = hasty.clone();
            calls.spawn(async move { hasty.list_prepared().await.is_err() });
        }
        assert!(calls.join_all().await.into_iter().all(|failed| failed));
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        stage.server.resume().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_prepare_ends_within_the_time_left() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.server.pause().unwrap();
        let mut late = prepare("shop.1.2", &[&[("tea", 1)]]);
        late.timeout = Duration::from_millis(100);
        let began = Instant::now();
        assert!(
            stage
                .participant
                .prepare(&late)
                .await
                .map(|voted| voted.vote)
                .is_err()
        );
        assert!(began.elapsed() < Duration::from_secs(1));
        stage.server.resume().unwrap();
    })
    .await;
}
