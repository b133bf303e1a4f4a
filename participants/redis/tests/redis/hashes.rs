//! Stock that is a field of each product's hash. No one command changes several hashes: whoever goes on where
//! a script was stopped between two of them deducts from the rest, and from none twice.

use std::sync::Arc;

use redis::pipe;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, SkuDeducted};
use tandem_participant::{CommitEvidence, Error, Participant};
use tandem_protocol::Reason;
use tandem_redis::{RedisParticipant, Settings};

use crate::place::Place;
use crate::stage::{
    Stage, commit, deducted, enlist, has_field_expiries, member, on_each_server, prepare, refused,
};

const CART: &[&[(&str, u32)]] = &[&[("tea", 2), ("jam", 1)]];

const ID: &str = "shop.1.1";

/// Unix milliseconds, in the year 2096.
const LATE: i64 = 4_000_000_000_000;

async fn seed(stage: &Stage) {
    let _: i64 = stage.cli("HSET product:tea name Tea stock 9").await;
    let _: i64 = stage.cli("HSET product:jam stock 9 name Jam").await;
}

fn count() -> String {
    "witness:tandem:shop:stock:of:stock".to_owned()
}

fn mark() -> String {
    format!("witness:tandem:shop:stock:part:{}", member(ID))
}

async fn participant(stage: &Stage, change: impl FnOnce(&mut Settings)) -> RedisParticipant {
    let participant = stage.participant(|settings| {
        Place::Products.say(settings);
        change(settings);
    });
    let shop = enlist("shop", "log-a", 1, "i");
    participant.enlist(&shop).await.unwrap();
    participant
}

async fn fields(stage: &Stage, key: &str) -> Vec<String> {
    let mut fields: Vec<String> = stage.cli(&format!("HKEYS {key}")).await;
    fields.sort();
    fields
}

async fn units(stage: &Stage) -> (i64, i64) {
    let tea = stage.cli("HGET product:tea stock").await;
    (tea, stage.cli("HGET product:jam stock").await)
}

async fn deducted_of(participant: &RedisParticipant, skus: &[&str]) -> Vec<SkuDeducted> {
    let question = AuditQuestion::Deducted {
        coordinator: "shop".parse().unwrap(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
    };
    match participant.audit(&question).await.unwrap() {
        AuditAnswer::Deducted(deducted) => deducted,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fields_of_products_are_held_deducted_and_counted_beside_the_apps_own() {
    on_each_server(async |stage| {
        seed(stage).await;
        let shop = participant(stage, |_| {}).await;
        shop.prepare(&prepare(ID, CART)).await.unwrap();
        let tea = shop.stock("tea").await.unwrap().unwrap();
        assert_eq!((tea.value, tea.holds[0].quantity), (Some(9), 2));
        let held: Vec<(String, i64)> = stage.cli("HGETALL tandem:held").await;
        assert_eq!(held.len(), 2, "{held:?}");
        assert!(held.contains(&("product:tea#stock".into(), 2)), "{held:?}");
        // Others who name it so hold the same.
        let desk = stage.participant(|settings| Place::Products.say(settings));
        let all = prepare("kiosk.1.1", &[&[("tea", 8)], &[("tea", 7)]]);
        let vote = desk.prepare(&all).await.unwrap().vote;
        assert_eq!(refused(&vote), [(0, Reason::InsufficientStock)]);

        let committed = shop.commit(&commit(ID, CART)).await.unwrap();
        assert_eq!(
            (committed.evidence, committed.debts.len()),
            (CommitEvidence::Applied, 0)
        );
        assert_eq!(units(stage).await, (7, 8));
        assert_eq!(
            fields(stage, "product:tea").await,
            ["name", "stock", &count()]
        );
        let again = shop.commit(&commit(ID, CART)).await.unwrap();
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        let found = deducted_of(&shop, &["tea", "jam", "none"]).await;
        let found = found.iter().map(|sku| (sku.value, sku.deducted));
        let found: Vec<(Option<i64>, u64)> = found.collect();
        assert_eq!(found, [(Some(7), 2), (Some(8), 1), (None, 0)]);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_stock_is_refused_with_the_key_and_the_field() {
    on_each_server(async |stage| {
        let () = stage.cli("SET product:string 9").await;
        let _: i64 = stage.cli("HSET product:bare name Bare").await;
        let _: i64 = stage.cli("HSET product:many stock many").await;
        let shop = participant(stage, |_| {}).await;
        let carts: &[&[(&str, u32)]] = &[
            &[("string", 1)],
            &[("bare", 1)],
            &[("many", 1)],
            &[("none", 1)],
        ];
        let said = [
            (Reason::NotANumber, "key product:string is not a hash"),
            (
                Reason::UnknownSku,
                "field stock of product:bare does not exist",
            ),
            (
                Reason::NotANumber,
                "field stock of product:many is not a plain",
            ),
            (
                Reason::UnknownSku,
                "field stock of product:none does not exist",
            ),
        ];
        let vote = shop.prepare(&prepare(ID, carts)).await.unwrap().vote;
        let tandem_participant::Vote::Yes { refused, .. } = vote else {
            panic!("voted no");
        };
        assert_eq!(refused.len(), said.len());
        for (entry, (reason, text)) in refused.iter().zip(said) {
            assert_eq!(entry.refusal.reason, reason);
            let detail = &entry.refusal.detail;
            assert!(detail.contains(text), "{detail}");
        }
        // One that is none hides no other from an audit.
        seed(stage).await;
        let found = deducted_of(&shop, &["string", "tea"]).await;
        assert_eq!((found[0].value, found[1].value), (None, Some(9)));
    })
    .await;
}

#[tokio::test]
async fn a_sku_can_not_make_one_of_tandems_own_keys_a_product() {
    on_each_server(async |stage| {
        let shop = participant(stage, |settings| settings.stock_key = Some("{sku}".into())).await;
        let carts: &[&[(&str, u32)]] = &[&[("tandem:store", 1)], &[("witness:tandem:x", 1)]];
        let vote = shop.prepare(&prepare(ID, carts)).await.unwrap().vote;
        assert_eq!(
            refused(&vote),
            [(0, Reason::UnknownSku), (1, Reason::UnknownSku)]
        );
    })
    .await;
}

/// What a commit has written that was stopped behind the first hash.
async fn stop_behind_first_hash(stage: &Stage, counts: bool) {
    let mut words = vec![("stock".to_owned(), 7), (mark(), 1)];
    if counts {
        words.push((count(), 2));
    }
    let mut commands = pipe();
    commands.set("tandem:busy", format!("{ID}/stock=1="));
    commands.hset(
        format!("tandem:tx:{ID}/stock"),
        "hashes",
        r#"["product:tea","product:jam"]"#,
    );
    commands.hset_multiple("product:tea", &words);
    let () = commands.query_async(&mut stage.raw().await).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_was_stopped_between_two_hashes_goes_on_behind_the_first() {
    on_each_server(async |stage| {
        for counts in [true, false] {
            for is_held in [true, false] {
                let () = stage.cli("FLUSHALL").await;
                seed(stage).await;
                let shop = participant(stage, |settings| {
                    settings.count_in_hash = counts;
                    settings.accept = vec!["STOCK_NOT_COUNTED".into()];
                })
                .await;
                if is_held {
                    shop.prepare(&prepare(ID, CART)).await.unwrap();
                }
                stop_behind_first_hash(stage, counts).await;
                // Somebody else's purchase of the same product comes first, and the app takes some.
                let other: &[&[(&str, u32)]] = &[&[("tea", 1)]];
                shop.commit(&commit("shop.1.2", other)).await.unwrap();
                let _: i64 = stage.cli(&Place::Products.take("jam")).await;

                let committed = shop.commit(&commit(ID, CART)).await.unwrap();
                let evidence = match is_held {
                    true => CommitEvidence::Applied,
                    false => CommitEvidence::Redone,
                };
                assert_eq!(committed.evidence, evidence);
                assert_eq!(committed.debts, []);
                assert_eq!(units(stage).await, (6, 7), "{counts} {is_held}");
                if counts {
                    assert_eq!(deducted(&shop, "shop", "tea").await, 3);
                    assert_eq!(deducted(&shop, "shop", "jam").await, 1);
                }
                for key in ["product:tea", "product:jam"] {
                    let left = fields(stage, key).await;
                    let own = if counts { vec![count()] } else { Vec::new() };
                    let expected = ["name".to_owned(), "stock".to_owned()];
                    assert_eq!(left, [&expected[..], &own].concat());
                }
                let again = shop.commit(&commit(ID, CART)).await.unwrap();
                assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
                stage.assert_quiet().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn marks_that_a_stopped_commit_has_left_behind_its_witness_go_with_the_next_script() {
    on_each_server(async |stage| {
        seed(stage).await;
        let shop = participant(stage, |_| {}).await;
        shop.commit(&commit(ID, CART)).await.unwrap();
        let _: i64 = stage
            .cli(&format!("ZREM tandem:committed:shop:stock {}", member(ID)))
            .await;
        stop_behind_first_hash(stage, false).await;
        let recalled = {
            shop.enlist(&enlist("shop", "log-a", 1, "i")).await.unwrap();
            let truth = shop.inspect(&crate::stage::id(ID)).await.unwrap();
            truth.state
        };
        assert_eq!(recalled, tandem_participant::BranchState::Committed);
        let left = fields(stage, "product:tea").await;
        assert_eq!(left, ["name", "stock", &count()]);
        assert_eq!(units(stage).await, (7, 8));
    })
    .await;
}

#[tokio::test]
async fn a_product_that_is_gone_is_not_made_again_and_its_units_are_owed_once() {
    on_each_server(async |stage| {
        seed(stage).await;
        let shop = Arc::new(participant(stage, |_| {}).await);
        shop.prepare(&prepare(ID, CART)).await.unwrap();
        let _: i64 = stage.cli("DEL product:tea").await;
        let () = stage.cli("SET product:jam 9").await;
        for _ in 0..2 {
            let committed = shop.commit(&commit(ID, CART)).await.unwrap();
            let owed = committed.debts.iter();
            let owed: Vec<(&str, u64)> = owed.map(|debt| (&*debt.sku, debt.quantity)).collect();
            assert_eq!(owed, [("tea", 2), ("jam", 1)]);
        }
        assert_eq!(stage.cli::<i64>("EXISTS product:tea").await, 0);
        assert_eq!(stage.cli::<i64>("GET product:jam").await, 9);
        let jam = shop.stock("jam").await.unwrap().unwrap();
        assert_eq!(jam.debt, 1);
        assert!(jam.detail.contains("key product:jam"), "{}", jam.detail);
        // The advice to forget the debt is a command that can be typed.
        let remedy = jam.debt_remedy.trim_matches('`').to_owned();
        assert_eq!(stage.cli::<i64>(&remedy).await, 1);
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn hashes_without_fields_of_tandems_are_named_until_that_is_accepted() {
    on_each_server(async |stage| {
        seed(stage).await;
        let shop = stage.participant(|settings| {
            Place::Products.say(settings);
            settings.count_in_hash = false;
        });
        let refused = shop.enlist(&enlist("shop", "log-a", 1, "i")).await;
        let Err(Error::Unsafe { findings }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(findings[0].name, "STOCK_NOT_COUNTED");
        let shop = participant(stage, |settings| {
            settings.count_in_hash = false;
            settings.accept = vec!["STOCK_NOT_COUNTED".into()];
        })
        .await;
        shop.commit(&commit(ID, CART)).await.unwrap();
        assert_eq!(units(stage).await, (7, 8));
        assert_eq!(fields(stage, "product:tea").await, ["name", "stock"]);
        let question = AuditQuestion::Deducted {
            coordinator: "shop".parse().unwrap(),
            skus: vec!["tea".into()],
        };
        let answer = shop.audit(&question).await.unwrap();
        assert!(matches!(answer, AuditAnswer::NotKept(_)), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_product_and_its_stock_keep_their_times_to_live() {
    on_each_server(async |stage| {
        seed(stage).await;
        let _: i64 = stage.cli(&format!("PEXPIREAT product:jam {LATE}")).await;
        let of_field = format!("HPEXPIREAT product:tea {LATE} FIELDS 1 stock");
        let has = has_field_expiries(stage).await;
        if has {
            let _: Vec<i64> = stage.cli(&of_field).await;
        }
        let shop = participant(stage, |_| {}).await;
        shop.commit(&commit(ID, CART)).await.unwrap();
        assert_eq!(units(stage).await, (7, 8));
        assert_eq!(stage.cli::<i64>("PEXPIRETIME product:jam").await, LATE);
        if has {
            let left: Vec<i64> = stage.cli("HPEXPIRETIME product:tea FIELDS 1 stock").await;
            assert_eq!(left, [LATE]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_who_may_not_write_products_is_told_what_grants_it() {
    on_each_server(async |stage| {
        seed(stage).await;
        let port = stage.server.port();
        let clerk = stage.participant(|settings| {
            Place::Products.say(settings);
            settings.url = format!("redis://clerk:pw@127.0.0.1:{port}/").into();
        });
        let own = "~tandem:* ~witness:tandem:*";
        let () = stage
            .cli(&format!("ACL SETUSER clerk reset on >pw +@all {own}"))
            .await;
        let shop = enlist("shop", "log-a", 1, "i");
        let refused = clerk.enlist(&shop).await;
        let Err(Error::Unsafe { findings }) = &refused else {
            panic!("{refused:?}");
        };
        let found = findings.iter().find(|f| f.name == "RIGHT_MISSING");
        let detail = &found.unwrap().detail;
        assert!(detail.contains("~product:*"), "{detail}");
        let () = stage.cli("ACL SETUSER clerk ~product:*").await;
        clerk.enlist(&shop).await.unwrap();
        clerk.commit(&commit(ID, CART)).await.unwrap();
        assert_eq!(units(stage).await, (7, 8));
    })
    .await;
}
