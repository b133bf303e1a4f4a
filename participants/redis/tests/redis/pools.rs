//! Stock in several pools of one server, the pool named by the item; and items of which there is no stock.

use std::sync::Arc;

use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, Holdings};
use tandem_participant::{BranchState, CommitEvidence, Participant, Vote};
use tandem_protocol::{Entry, Purchase, Reason};
use tandem_redis::{RedisParticipant, Settings, commit_by_hand};

use crate::place::PLACES;
use crate::stage::{Stage, commit, enlist, id, on_each_server, prepare, refused};

const ID: &str = "shop.1.1";

async fn participant(stage: &Stage, change: impl FnOnce(&mut Settings)) -> RedisParticipant {
    let participant = stage.participant(change);
    let shop = enlist("shop", "log-a", 1, "i");
    participant.enlist(&shop).await.unwrap();
    participant
}

/// What the store has counted, and the stock's other name.
async fn deducted(participant: &RedisParticipant, skus: &[&str]) -> Vec<(u64, Option<String>)> {
    let question = AuditQuestion::Deducted {
        coordinator: "shop".parse().unwrap(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
    };
    match participant.audit(&question).await.unwrap() {
        AuditAnswer::Deducted(all) => all
            .into_iter()
            .map(|one| (one.deducted, one.also))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// Each pattern with a place for a pool, and how its stock is read.
const PATTERNS: [(&str, Option<&str>, &str); 5] = [
    ("stock:{pool}:{sku}", None, "GET stock:POOL:tea"),
    (
        "product:{sku}",
        Some("in-{pool}"),
        "HGET product:tea in-POOL",
    ),
    ("pool:{pool}", Some("{sku}"), "HGET pool:POOL tea"),
    ("{pool}/{sku}", Some("units"), "HGET POOL/tea units"),
    ("", Some("{pool}:{sku}"), "HGET warehouse POOL:tea"),
];

#[tokio::test]
async fn two_pools_of_a_sku_are_two_stocks_and_no_pool_is_the_default_one() {
    on_each_server(async |stage| {
        for (key, field, read) in PATTERNS {
            let () = stage.cli("FLUSHALL").await;
            let write = read.replace("GET", "SET");
            for (pool, units) in [("main", 9), ("paris", 5)] {
                let command = format!("{} {units}", write.replace("POOL", pool));
                let _: redis::Value = stage.cli(&command).await;
            }
            let shop = participant(stage, |settings| {
                match key {
                    "" => settings.stock_hash = Some("warehouse".into()),
                    key => settings.stock_key = Some(key.into()),
                }
                settings.stock_field = field.map(str::to_owned);
                settings.default_pool = Some("main".into());
            })
            .await;
            // Of paris there are 5: the second entry finds 2 of them, the third is of another pool.
            let carts: &[&[(&str, u32)]] = &[
                &[("tea{paris}", 3), ("tea", 1), ("tea{main}", 2)],
                &[("tea{paris}", 3)],
                &[("tea{main}", 3)],
            ];
            let vote = shop.prepare(&prepare(ID, carts)).await.unwrap().vote;
            assert_eq!(refused(&vote), [(1, Reason::InsufficientStock)], "{key}");
            let paris = shop.stock("tea{paris}").await.unwrap().unwrap();
            assert_eq!((paris.value, paris.holds[0].quantity), (Some(5), 3));
            let main = shop.stock("tea").await.unwrap().unwrap();
            assert_eq!((main.value, main.holds[0].quantity), (Some(9), 6));

            let mut decision = commit(ID, carts);
            decision.entries.remove(1);
            let committed = shop.commit(&decision).await.unwrap();
            assert_eq!(committed.debts, []);
            let left: (i64, i64) = (
                stage.cli(&read.replace("POOL", "main")).await,
                stage.cli(&read.replace("POOL", "paris")).await,
            );
            assert_eq!(left, (3, 2), "{key}");
            let counted = deducted(&shop, &["tea", "tea{main}", "tea{paris}", "tea{rome}"]).await;
            assert_eq!(
                counted,
                [
                    (6, Some("tea{main}".into())),
                    (6, Some("tea".into())),
                    (3, None),
                    (0, None)
                ],
                "{key}"
            );
            stage.assert_quiet().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_pool_is_refused_by_name_where_there_are_none() {
    on_each_server(async |stage| {
        for place in PLACES {
            let _: redis::Value = stage.cli(&place.set("tea", "9")).await;
            let shop = participant(stage, |settings| place.say(settings)).await;
            let carts: &[&[(&str, u32)]] = &[&[("tea{paris}", 1)], &[("tea", 1)]];
            let id = format!("shop.1.{}", place as u8 + 1);
            let vote = shop.prepare(&prepare(&id, carts)).await.unwrap().vote;
            let Vote::Yes { refused, .. } = vote else {
                panic!("voted no");
            };
            let [entry] = &refused[..] else {
                panic!("{refused:?}");
            };
            assert_eq!(
                (entry.number, entry.refusal.reason),
                (0, Reason::Misconfigured)
            );
            let detail = &entry.refusal.detail;
            assert!(detail.contains("pool paris"), "{detail}");
            let asked = shop.stock("tea{paris}").await.unwrap_err().to_string();
            assert!(asked.contains("pool paris"), "{asked}");
        }
    })
    .await;
}

#[tokio::test]
async fn lines_of_one_stock_are_wanted_together() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        let carts: &[&[(&str, u32)]] = &[&[("tea", 3), ("tea", 3)], &[("tea", 2), ("tea", 3)]];
        let Vote::Yes { refused, .. } = stage.prepare(ID, carts).await else {
            panic!("voted no");
        };
        assert_eq!(refused.len(), 1);
        let detail = &refused[0].refusal.detail;
        assert!(detail.contains("6 wanted, 5 available"), "{detail}");
        assert_eq!(stage.value_and_held("tea").await, (5, 5));
    })
    .await;
}

/// An entry of which nothing is tracked.
fn untracked() -> tandem_participant::Prepare {
    let mut prepare = prepare(ID, &[&[("tea", 3), ("gift-wrap", 1)]]);
    for entry in &mut prepare.entries {
        let mut purchase = Purchase::clone(&entry.purchase);
        for item in &mut purchase.items {
            item.untracked = true;
        }
        entry.purchase = Arc::new(purchase);
    }
    prepare
}

#[tokio::test]
async fn what_is_not_tracked_is_promised_committed_redone_and_repaired_without_stock() {
    on_each_server(async |stage| {
        for place in PLACES {
            let () = stage.cli("FLUSHALL").await;
            let _: redis::Value = stage.cli(&place.set("tea", "2")).await;
            let shop = participant(stage, |settings| place.say(settings)).await;
            let promise = untracked();
            let mut decision = commit(ID, &[]);
            decision.entries.clone_from(&promise.entries);
            let vote = shop.prepare(&promise).await.unwrap().vote;
            assert_eq!(refused(&vote), [], "{place:?}");
            let truth = shop.inspect(&id(ID)).await.unwrap();
            assert_eq!(truth.state, BranchState::Prepared);
            assert!(truth.detail.contains("holds nothing"), "{}", truth.detail);
            let answer = shop.audit(&AuditQuestion::Holdings).await.unwrap();
            let AuditAnswer::Holdings(Holdings { holds, held, .. }) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!((holds.len(), held.len()), (1, 0));
            assert!(holds[0].units.is_empty());

            let committed = shop.commit(&decision).await.unwrap();
            assert_eq!(committed.evidence, CommitEvidence::Applied, "{place:?}");
            assert_eq!(stage.cli::<i64>(&place.read("tea")).await, 2);
            assert_eq!(deducted(&shop, &["tea"]).await, [(0, None)]);
            // The memory goes, and the witness tells of it.
            for key in stage.keys("tandem:").await {
                let _: i64 = stage.cli(&format!("DEL {key}")).await;
            }
            let shop = participant(stage, |settings| place.say(settings)).await;
            let again = shop.commit(&decision).await.unwrap();
            assert_eq!(again.evidence, CommitEvidence::AlreadyApplied, "{place:?}");

            // Of a store that has lost all it is redone, and repaired where it was rolled back.
            let () = stage.cli("FLUSHALL").await;
            let _: redis::Value = stage.cli(&place.set("tea", "2")).await;
            let shop = participant(stage, |settings| place.say(settings)).await;
            let redone = shop.commit(&decision).await.unwrap();
            assert_eq!(redone.evidence, CommitEvidence::Redone);
            let other = id("shop.1.2");
            shop.roll_back(&crate::stage::roll_back("shop.1.2"))
                .await
                .unwrap();
            decision.transaction = other;
            let repaired = shop.repair(&decision).await.unwrap();
            assert_eq!(repaired.evidence, CommitEvidence::Redone);
            assert_eq!(stage.cli::<i64>(&place.read("tea")).await, 2);
            stage.assert_quiet().await;
        }
    })
    .await;
}

#[test]
fn a_person_deducts_from_the_pool_and_nothing_for_what_is_not_tracked() {
    let mut settings = Settings::at("redis://127.0.0.1");
    settings.stock_key = Some("stock:{pool}:{sku}".into());
    settings.default_pool = Some("main".into());
    let carts: &[&[(&str, u32)]] = &[&[("tea{paris}", 3), ("tea", 1)]];
    let participant = "stock".parse().unwrap();
    let text = |entries: &[Entry]| commit_by_hand(Some(&settings), &id(ID), &participant, entries);
    let with_pools = text(&commit(ID, carts).entries);
    assert!(
        with_pools.contains("`DECRBY stock:paris:tea 3`"),
        "{with_pools}"
    );
    assert!(
        with_pools.contains("`DECRBY stock:main:tea 1`"),
        "{with_pools}"
    );
    let without_stock = text(&untracked().entries);
    assert!(!without_stock.contains("DECRBY"), "{without_stock}");
    assert!(without_stock.contains("`ZADD "), "{without_stock}");
}
