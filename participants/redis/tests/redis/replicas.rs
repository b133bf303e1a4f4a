//! Promises that count only once replicas have them.

use std::time::{Duration, Instant};

use tandem_participant::{CommitEvidence, Error, Participant, Vote};
use tandem_servers::{LaunchOptions, RedisServer};

use crate::stage::{Stage, commit, on_each_server_with, prepare};

const CART: &[&[(&str, u32)]] = &[&[("tea", 1)]];

/// A replica that has heard everything.
async fn replica_of(stage: &Stage) -> RedisServer {
    let port = stage.server.port().to_string();
    let options = LaunchOptions {
        extra_args: ["--replicaof", "127.0.0.1", &port].map(Into::into).into(),
        ..LaunchOptions::default()
    };
    let replica = RedisServer::start(stage.server.binary(), options).unwrap();
    follows(stage).await;
    // With its first replica a server takes another replication id, and so begins another life.
    stage.enlist(1, "i").await.unwrap();
    replica
}

/// Waits until the replica has heard everything, and has it on its disk where that can be asked.
async fn follows(stage: &Stage) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let there = if has_wait_aof(stage) {
            stage.cli::<(u32, u32)>("WAITAOF 0 1 100").await.1
        } else {
            stage.cli::<u32>("WAIT 1 100").await
        };
        if there == 1 {
            return;
        }
        assert!(Instant::now() < deadline, "the replica does not follow");
    }
}

fn has_wait_aof(stage: &Stage) -> bool {
    !stage.server.binary().version.starts_with("7.0")
}

#[tokio::test]
async fn a_primary_that_is_cut_off_from_its_replicas_promises_nothing() {
    on_each_server_with(&["--repl-diskless-sync-delay", "0"], async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        let replica = replica_of(stage).await;
        let wait_aof = has_wait_aof(stage);
        let waiting = |wait_timeout_ms| {
            stage.participant(|settings| {
                settings.wait_replicas = 1;
                settings.wait_timeout_ms = wait_timeout_ms;
                settings.wait_aof = wait_aof;
            })
        };
        // A replica may tell of its disk a second late.
        let (participant, hasty) = (waiting(5_000), waiting(300));
        let vote = participant
            .prepare(&prepare("shop.1.1", CART))
            .await
            .map(|voted| voted.vote);
        assert!(matches!(vote, Ok(Vote::Yes { .. })), "{vote:?}");
        let committed = participant.commit(&commit("shop.1.1", CART)).await.unwrap();
        assert_eq!(committed.evidence, CommitEvidence::Applied);

        replica.pause().unwrap();
        let began = Instant::now();
        let vote = hasty
            .prepare(&prepare("shop.1.2", CART))
            .await
            .map(|voted| voted.vote);
        assert!(matches!(&vote, Err(Error::Busy { .. })), "{vote:?}");
        assert!(began.elapsed() < Duration::from_secs(3));
        let late = hasty.commit(&commit("shop.1.2", CART)).await;
        assert!(matches!(&late, Err(Error::Busy { .. })), "{late:?}");

        // Asked again, it is known, and counts once the replica has it.
        replica.resume().unwrap();
        follows(stage).await;
        let again = participant.commit(&commit("shop.1.2", CART)).await.unwrap();
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));

        // One that was left alone for good.
        replica.kill9().unwrap();
        let vote = hasty
            .prepare(&prepare("shop.1.3", CART))
            .await
            .map(|voted| voted.vote);
        assert!(matches!(&vote, Err(Error::Busy { .. })), "{vote:?}");
    })
    .await;
}
