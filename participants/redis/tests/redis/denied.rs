//! Servers that do not let tandem in, or not any more: tried rarely, and told from those that only have no
//! room at the moment.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};
use tandem_participant::{Error, Participant};
use tandem_redis::RedisParticipant;
use tokio::task::JoinSet;

use crate::stage::{Stage, commit, enlist, on_each_server, prepare};

/// A user of the test's own with the password `right`.
async fn clerk(stage: &Stage) {
    let () = stage
        .cli("ACL SETUSER clerk reset on >right ~* +@all")
        .await;
}

fn with_url(stage: &Stage, credentials: &str, path: &str) -> RedisParticipant {
    let port = stage.server.port();
    stage.participant(|settings| {
        settings.url = format!("redis://{credentials}127.0.0.1:{port}/{path}").into();
    })
}

async fn is_enlisted(participant: &RedisParticipant) -> Result<(), Error> {
    let shop = enlist("shop", "log-a", 1, "i");
    participant.enlist(&shop).await.map(drop)
}

fn denied<T: std::fmt::Debug>(answer: Result<T, Error>, words: &str) {
    match answer {
        Err(Error::Unavailable { detail }) => {
            assert!(detail.contains(words), "{detail}");
            assert!(detail.contains("mend the account"), "{detail}");
            assert!(!detail.contains("secret"), "{detail}");
        }
        answer => panic!("{answer:?}"),
    }
}

/// How often the server has refused a password since it was last asked to forget it.
async fn refused_passwords(stage: &Stage) -> u64 {
    let entries: Vec<std::collections::HashMap<String, redis::Value>> = stage.cli("ACL LOG").await;
    let auth = entries.iter().filter(|entry| {
        let reason: String = redis::from_redis_value(entry["reason"].clone()).unwrap();
        reason == "auth"
    });
    auth.map(|entry| redis::from_redis_value::<u64>(entry["count"].clone()).unwrap())
        .sum()
}

async fn say<T: FromRedisValue>(link: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query_async(link).await.unwrap()
}

/// As the daemon does it: a probe every few hundred milliseconds, and what else asks.
#[tokio::test]
async fn a_wrong_password_is_tried_rarely() {
    on_each_server(async |stage| {
        clerk(stage).await;
        let participant = Arc::new(with_url(stage, "clerk:secret@", ""));
        for _ in 0..10 {
            let mut asked = JoinSet::new();
            for _ in 0..4 {
                let participant = Arc::clone(&participant);
                asked.spawn(async move { is_enlisted(&participant).await });
            }
            denied(participant.describe().await, "WRONGPASS");
            while let Some(ended) = asked.join_next().await {
                denied(ended.unwrap(), "as user clerk");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(refused_passwords(stage).await, 2);
        is_enlisted(&with_url(stage, "clerk:right@", ""))
            .await
            .unwrap();
    })
    .await;
}

/// The connection that is there serves on; when it is gone, many prepares at once try once.
#[tokio::test]
async fn a_password_that_is_changed_is_named_while_the_connection_serves_on() {
    on_each_server(async |stage| {
        clerk(stage).await;
        let () = stage.cli("SET stock:tea 9").await;
        let participant = Arc::new(with_url(stage, "clerk:right@", ""));
        is_enlisted(&participant).await.unwrap();
        let () = stage.cli("ACL SETUSER clerk resetpass >other").await;

        let found = participant.describe().await.unwrap().findings;
        let finding = found.iter().find(|found| found.name == "ACCESS_DENIED");
        let detail = &finding.unwrap_or_else(|| panic!("{found:?}")).detail;
        assert!(detail.contains("WRONGPASS"), "{detail}");
        let carts: &[&[(&str, u32)]] = &[&[("tea", 1)]];
        participant
            .prepare(&prepare("shop.1.1", carts))
            .await
            .unwrap();
        participant
            .commit(&commit("shop.1.1", carts))
            .await
            .unwrap();

        let _: u64 = stage.cli("CLIENT KILL USER clerk").await;
        let mut all = JoinSet::new();
        for n in 10..20 {
            let participant = Arc::clone(&participant);
            let ask = prepare(&format!("shop.1.{n}"), &[&[("tea", 1)]]);
            all.spawn(async move { participant.prepare(&ask).await });
        }
        while let Some(ended) = all.join_next().await {
            let vote = ended.unwrap();
            assert!(matches!(vote, Err(Error::Unavailable { .. })), "{vote:?}");
        }
        denied(is_enlisted(&participant).await, "WRONGPASS");
        let refused = refused_passwords(stage).await;
        assert!(refused <= 2, "{refused}");

        // A person has it tried at once, once more each time.
        denied(participant.reconnect().await, "WRONGPASS");
        assert_eq!(refused_passwords(stage).await, refused + 1);
        let () = stage.cli("ACL SETUSER clerk resetpass >right").await;
        denied(is_enlisted(&participant).await, "WRONGPASS");
        participant.reconnect().await.unwrap();
        is_enlisted(&participant).await.unwrap();
        let found = participant.describe().await.unwrap().findings;
        assert!(!found.iter().any(|found| found.name == "ACCESS_DENIED"));
        assert_eq!(stage.value_and_held("tea").await, (8, 0));
    })
    .await;
}

#[tokio::test]
async fn a_password_that_is_wanted_or_not_and_a_right_that_is_missing_deny_the_access() {
    on_each_server(async |stage| {
        denied(
            is_enlisted(&with_url(stage, ":secret@", "")).await,
            "without any password configured",
        );
        clerk(stage).await;
        let () = stage.cli("ACL SETUSER clerk -select").await;
        denied(
            is_enlisted(&with_url(stage, "clerk:right@", "1")).await,
            "no permissions",
        );
        let mut root = stage.raw().await;
        let () = say(&mut root, &["CONFIG", "SET", "requirepass", "secret"]).await;
        let participant = with_url(stage, "", "");
        for _ in 0..3 {
            denied(is_enlisted(&participant).await, "NOAUTH");
        }
        is_enlisted(&with_url(stage, ":secret@", "")).await.unwrap();
        is_enlisted(&with_url(stage, "clerk:right@", ""))
            .await
            .unwrap();
        let () = say(&mut root, &["CONFIG", "SET", "requirepass", ""]).await;
    })
    .await;
}

/// A server with too many clients says so to the password; it passes, and nobody waits for it.
#[tokio::test]
async fn a_server_without_room_is_tried_again_at_once() {
    on_each_server(async |stage| {
        clerk(stage).await;
        let mut root = stage.raw().await;
        let () = say(&mut root, &["CONFIG", "SET", "maxclients", "1"]).await;
        let participant = with_url(stage, "clerk:right@", "");
        for _ in 0..3 {
            let full = is_enlisted(&participant).await;
            let Err(Error::Unavailable { detail }) = &full else {
                panic!("{full:?}");
            };
            assert!(!detail.contains("mend the account"), "{detail}");
        }
        let () = say(&mut root, &["CONFIG", "SET", "maxclients", "1000"]).await;
        is_enlisted(&participant).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_database_in_the_url_is_used() {
    on_each_server(async |stage| {
        let mut second = stage.raw().await;
        let () = say(&mut second, &["SELECT", "2"]).await;
        let () = say(&mut second, &["SET", "stock:tea", "4"]).await;
        let stock = with_url(stage, "", "2").stock("tea").await.unwrap();
        assert_eq!(stock.and_then(|stock| stock.value), Some(4));
        let elsewhere = stage.participant.stock("tea").await.unwrap();
        assert_eq!(elsewhere.and_then(|stock| stock.value), None);
    })
    .await;
}
