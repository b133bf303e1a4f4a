//! Several participants and coordinators on one server and under one prefix: all who share a stock see
//! each other's holds, and nobody takes another's memory for its own.

use std::sync::Arc;

use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{CommitEvidence, Error, Participant, PreparedId, Vote};
use tandem_protocol::Reason;
use tandem_redis::{RedisParticipant, Settings};

use crate::stage::{
    Stage, commit, deducted, enlist, id, on_each_server, prepare, refused, roll_back,
};

const CART: &[&[(&str, u32)]] = &[&[("tea", 2)]];

async fn participant(
    stage: &Stage,
    name: &str,
    coordinators: &[&str],
    change: impl FnOnce(&mut Settings),
) -> Arc<RedisParticipant> {
    let mut settings = Settings::at(stage.server.url());
    change(&mut settings);
    let participant = RedisParticipant::new(name.parse().unwrap(), settings).unwrap();
    for coordinator in coordinators {
        let log = format!("log-{coordinator}");
        let enlist = enlist(coordinator, &log, 1, "i");
        participant.enlist(&enlist).await.unwrap();
    }
    Arc::new(participant)
}

async fn vote(participant: &RedisParticipant, transaction: &str) -> Vote {
    participant
        .prepare(&prepare(transaction, CART))
        .await
        .unwrap()
        .vote
}

async fn refused_of(participant: &RedisParticipant, transaction: &str) -> Vec<(u32, Reason)> {
    refused(&vote(participant, transaction).await)
}

#[tokio::test]
async fn two_participants_of_one_coordinator_each_deduct_their_own_stock() {
    on_each_server(async |stage| {
        let stock = participant(stage, "stock-a", &["till"], |_| {}).await;
        let quota = participant(stage, "quota", &["till"], |settings| {
            settings.stock_key = Some("quota:{sku}".into());
        })
        .await;
        let () = stage.cli("MSET stock:tea 9 quota:tea 5").await;
        for it in [&stock, &quota] {
            assert_eq!(refused(&vote(it, "till.1.1").await), []);
        }
        // Each tells of its own branch alone.
        stock.roll_back(&roll_back("till.1.2")).await.unwrap();
        let prepared = quota.list_prepared().await.unwrap();
        assert_eq!(prepared.len(), 1);
        assert_eq!(prepared[0].id, PreparedId::Transaction(id("till.1.1")));
        for it in [&stock, &quota] {
            let committed = it.commit(&commit("till.1.1", CART)).await.unwrap();
            assert_eq!(committed.evidence, CommitEvidence::Applied);
        }
        let (tea, quotas): (i64, i64) = (
            stage.cli("GET stock:tea").await,
            stage.cli("GET quota:tea").await,
        );
        assert_eq!((tea, quotas), (7, 3));
        assert_eq!(deducted(&stock, "till", "tea").await, 2);
        assert_eq!(deducted(&quota, "till", "tea").await, 2);
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn stock_hashes_of_two_coordinators_do_not_hold_each_others_fields() {
    on_each_server(async |stage| {
        let hash = |name: &'static str| {
            move |settings: &mut Settings| {
                settings.stock_hash = Some(name.into());
            }
        };
        let north = participant(stage, "stock-a", &["till"], hash("north")).await;
        let south = participant(stage, "stock-a", &["desk"], hash("south")).await;
        let _: i64 = stage.cli("HSET north tea 2").await;
        let _: i64 = stage.cli("HSET south tea 2").await;
        assert_eq!(refused(&vote(&north, "till.1.1").await), []);
        assert_eq!(refused(&vote(&south, "desk.1.1").await), []);
        // But those who share a hash do.
        let second = participant(stage, "stock-b", &["desk"], hash("north")).await;
        let late = vote(&second, "desk.1.2").await;
        assert_eq!(refused(&late), [(0, Reason::InsufficientStock)]);
        let stock = north.stock("tea").await.unwrap().unwrap();
        assert_eq!(stock.holds.len(), 1);
        north.commit(&commit("till.1.1", CART)).await.unwrap();
        south.roll_back(&roll_back("desk.1.1")).await.unwrap();
        let left: (i64, i64) = (
            stage.cli("HGET north tea").await,
            stage.cli("HGET south tea").await,
        );
        assert_eq!(left, (0, 2));
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn a_sku_can_not_be_one_of_tandems_own_fields_of_the_stock_hash() {
    on_each_server(async |stage| {
        let hash = participant(stage, "stock-a", &["till"], |settings| {
            settings.stock_hash = Some("north".into());
        })
        .await;
        let _: i64 = stage.cli("HSET north tea 2 witness:tandem:x 5").await;
        let carts: &[&[(&str, u32)]] = &[&[("witness:tandem:x", 1)]];
        let vote = hash
            .prepare(&prepare("till.1.1", carts))
            .await
            .unwrap()
            .vote;
        assert_eq!(refused(&vote), [(0, Reason::UnknownSku)]);
    })
    .await;
}

#[tokio::test]
async fn a_stock_hash_that_may_have_no_other_fields_keeps_none_and_says_what_that_gives_up() {
    on_each_server(async |stage| {
        let foreign = |settings: &mut Settings| {
            settings.stock_hash = Some("north".into());
            settings.count_in_hash = false;
        };
        let refused = stage.participant(foreign);
        let refused = refused.enlist(&enlist("till", "log-till", 1, "i")).await;
        let Err(Error::Unsafe { findings }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(findings[0].name, "STOCK_NOT_COUNTED");
        let till = participant(stage, "stock-a", &["till"], |settings| {
            foreign(settings);
            settings.accept = vec!["STOCK_NOT_COUNTED".into()];
        })
        .await;
        let _: i64 = stage.cli("HSET north tea 9 jam 9").await;
        assert_eq!(refused_of(&till, "till.1.1").await, []);
        till.commit(&commit("till.1.1", CART)).await.unwrap();
        let fields: Vec<String> = stage.cli("HKEYS north").await;
        assert_eq!(fields, ["tea", "jam"]);
        assert_eq!(stage.cli::<i64>("HGET north tea").await, 7);
        // The witness is there all the same.
        for key in stage.keys("tandem:").await {
            let _: i64 = stage.cli(&format!("DEL {key}")).await;
        }
        till.enlist(&enlist("till", "log-till", 1, "i"))
            .await
            .unwrap();
        let again = till.commit(&commit("till.1.1", CART)).await.unwrap();
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        let question = AuditQuestion::Deducted {
            coordinator: "till".parse().unwrap(),
            skus: vec!["tea".into()],
        };
        let answer = till.audit(&question).await.unwrap();
        assert!(matches!(answer, AuditAnswer::NotKept(_)), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stock_hash_that_is_missing_is_not_made_and_what_was_sold_is_owed_once() {
    on_each_server(async |stage| {
        let till = participant(stage, "stock-a", &["till"], |settings| {
            settings.stock_hash = Some("north".into());
        })
        .await;
        for _ in 0..2 {
            let committed = till.commit(&commit("till.1.1", CART)).await.unwrap();
            assert_eq!(committed.debts[0].quantity, 2);
        }
        assert_eq!(stage.cli::<i64>("EXISTS north").await, 0);
        assert_eq!(till.stock("tea").await.unwrap().unwrap().debt, 2);
    })
    .await;
}

#[tokio::test]
async fn a_time_to_live_that_the_app_gave_its_stock_outlives_a_deduction() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9 EX 1000").await;
        stage.commit("shop.1.1", CART).await;
        let left: i64 = stage.cli("TTL stock:tea").await;
        assert!((900..=1_000).contains(&left), "{left}");
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
    })
    .await;
}

#[tokio::test]
async fn epochs_and_sequences_have_no_end_in_sight() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.enlist(2_097_152, "i").await.unwrap();
        let far = "shop.2097152.4294967296";
        stage.prepare(far, CART).await;
        assert_eq!(
            stage.commit(far, CART).await.evidence,
            CommitEvidence::Applied
        );
        let enlisted = stage.enlist(2_097_153, "i").await.unwrap();
        assert_eq!(enlisted.newest_committed, [id(far)]);
    })
    .await;
}
