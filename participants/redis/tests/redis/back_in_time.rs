//! A store that is put back in time without a sign of it: the same server, the same run of it, and less in
//! it than it has acknowledged.

use tandem_participant::{Acknowledged, CommitEvidence, Error, Participant, Prepare};

use crate::stage::{Stage, enlist, id, on_each_server, prepare};

const CART: &[&[(&str, u32)]] = &[&[("tea", 2)]];

/// Puts the store back to what it was when it was last saved.
async fn put_back(stage: &Stage) {
    let () = stage.cli("DEBUG RELOAD NOSAVE").await;
}

fn with(acknowledged: &Acknowledged, incarnation: &str, transaction: &str) -> Prepare {
    Prepare {
        acknowledged: acknowledged.clone(),
        incarnation: incarnation.to_owned(),
        ..prepare(transaction, CART)
    }
}

fn lost(answer: Result<impl std::fmt::Debug, Error>) {
    assert!(
        matches!(answer, Err(Error::NotEnlisted { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn lost_commits_are_noticed_by_the_next_prepare_and_begin_a_new_life() {
    crate::stage::on_each_server_with(&["--enable-debug-command", "yes"], async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        let before = stage.enlist(1, "i").await.unwrap();
        stage.commit("shop.1.1", CART).await;
        let () = stage.cli("SAVE").await;
        let last = stage.commit("shop.1.2", CART).await;
        let told = Acknowledged {
            changes: last.changes,
            committed: vec![id("shop.1.1"), id("shop.1.2")],
        };
        let known = with(&told, &before.incarnation, "shop.1.3");
        stage.participant.prepare(&known).await.unwrap();
        put_back(stage).await;
        assert_eq!(stage.value_and_held("tea").await.0, 7);

        let late = with(&told, &before.incarnation, "shop.1.4");
        lost(stage.participant.prepare(&late).await);
        // Either sign is enough.
        let counted = Acknowledged {
            changes: last.changes,
            committed: Vec::new(),
        };
        lost(
            stage
                .participant
                .prepare(&with(&counted, "", "shop.1.4"))
                .await,
        );
        let named = Acknowledged {
            changes: 0,
            committed: told.committed.clone(),
        };
        lost(
            stage
                .participant
                .prepare(&with(&named, "", "shop.1.4"))
                .await,
        );
        lost(
            stage
                .participant
                .prepare(&with(&Acknowledged::default(), "another", "shop.1.4"))
                .await,
        );

        let mut again = enlist("shop", "log-a", 1, "i");
        again.acknowledged = told.clone();
        let after = stage.participant.enlist(&again).await.unwrap();
        assert_ne!(after.incarnation, before.incarnation);
        let forgotten = stage.forgotten(&["shop.1.2", "shop.1.1"]).await.unwrap();
        assert_eq!(forgotten, [id("shop.1.2")]);
        let redone = stage.commit("shop.1.2", CART).await;
        assert_eq!(redone.evidence, CommitEvidence::Redone);
        assert_eq!(stage.value_and_held("tea").await, (5, 0));
        assert_eq!(stage.deducted("tea").await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_lost_promise_is_noticed_too() {
    crate::stage::on_each_server_with(&["--enable-debug-command", "yes"], async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        let before = stage.enlist(1, "i").await.unwrap();
        let () = stage.cli("SAVE").await;
        let voted = stage.participant.prepare(&prepare("shop.1.1", CART)).await;
        let told = Acknowledged {
            changes: voted.unwrap().changes,
            committed: Vec::new(),
        };
        assert!(told.changes > before.changes);
        put_back(stage).await;
        lost(
            stage
                .participant
                .prepare(&with(&told, &before.incarnation, "shop.1.2"))
                .await,
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_forgotten_by_leave_is_not_missed() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        for id in ["shop.1.1", "shop.1.2"] {
            stage.commit(id, CART).await;
        }
        stage.forget("shop.1.2", &[]).await;
        let told = Acknowledged {
            changes: 2,
            committed: vec![id("shop.1.1"), id("shop.1.2")],
        };
        stage
            .participant
            .prepare(&with(&told, "", "shop.1.3"))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_attaches_to_a_healthy_primary_begins_no_new_life() {
    on_each_server(async |stage| {
        let before = stage.enlist(1, "i").await.unwrap();
        let () = stage.cli("SET stock:tea 9").await;
        let mut raw = stage.raw().await;
        // As a backup by `redis-cli --rdb` begins: it changes the replication id.
        let replid = async || -> String {
            let info: String = stage.cli("INFO replication").await;
            let line = info.lines().find(|line| line.starts_with("master_replid:"));
            line.unwrap().to_owned()
        };
        let first = replid().await;
        let _: redis::Value = redis::cmd("REPLCONF")
            .arg(&["capa", "eof"])
            .query_async(&mut raw)
            .await
            .unwrap();
        tokio::spawn(async move {
            let _: redis::RedisResult<redis::Value> = redis::cmd("PSYNC")
                .arg(&["?", "-1"])
                .query_async(&mut raw)
                .await;
        });
        for _ in 0..500 {
            if replid().await != first {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_ne!(replid().await, first);
        stage.prepare("shop.1.1", CART).await;
        stage.commit("shop.1.1", CART).await;
        assert_eq!(stage.forgotten(&["shop.1.1"]).await.unwrap(), []);
        assert_eq!(
            stage.enlist(1, "i").await.unwrap().incarnation,
            before.incarnation
        );
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_the_server_dropped_for_its_silence_costs_no_purchase() {
    crate::stage::on_each_server_with(&["--timeout", "1"], async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.prepare("shop.1.1", CART).await;
        let clients = async || -> usize {
            let list: String = stage.cli("CLIENT LIST").await;
            list.lines().count()
        };
        // The server looks for silent clients at its own pace.
        for _ in 0..1_000 {
            if clients().await <= 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(clients().await, 1);
        stage.commit("shop.1.1", CART).await;
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
    })
    .await;
}
