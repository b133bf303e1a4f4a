//! A decision of more stocks than one command takes is written in parts. Whoever goes on where a script was
//! stopped between two of them deducts the rest, and takes nothing for short that was deducted before.

use redis::pipe;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{CommitEvidence, Participant};

use crate::stage::{Stage, commit, enlist, member, on_each_server, prepare};

/// Stocks of a part.
const PART: usize = 1_800;

const STOCKS: usize = 4_000;

/// Units of each stock before, all of which the decision takes.
const UNITS: u32 = 2;

const ID: &str = "shop.1.1";

/// What a script has written that was stopped behind its first part, one unit of the first stock being owed.
async fn stop_behind_first_part(stage: &Stage, skus: &[String], hash: Option<&str>) {
    let owner = "witness:tandem:shop:stock";
    let prefix = if hash.is_some() { "" } else { "stock:" };
    let mut words = vec![
        (format!("{owner}:part:{}", member(ID)), 1),
        (format!("{owner}:of:{prefix}{}", skus[0]), UNITS),
    ];
    for sku in &skus[..PART] {
        words.push((format!("{prefix}{sku}"), 0));
        words.push((format!("{owner}:of:{prefix}{sku}"), UNITS));
    }
    let owed = format!(r#"[["{prefix}{}","1","SHORT","1","1"]]"#, skus[0]);
    let inside = u8::from(hash.is_some());
    let place = hash.unwrap_or_default();
    let mut commands = pipe();
    commands.set("tandem:busy", format!("{ID}/stock={inside}={place}"));
    commands.hset("tandem:answers:shop:stock", member(ID), owed);
    match hash {
        None => commands.mset(&words),
        Some(hash) => commands.hset_multiple(hash, &words),
    };
    let () = commands.query_async(&mut stage.raw().await).await.unwrap();
}

async fn seed(stage: &Stage, skus: &[String], hash: Option<&str>) {
    let units: Vec<(String, u32)> = match hash {
        None => skus
            .iter()
            .map(|sku| (format!("stock:{sku}"), UNITS))
            .collect(),
        Some(_) => skus.iter().map(|sku| (sku.clone(), UNITS)).collect(),
    };
    let mut commands = pipe();
    match hash {
        None => commands.mset(&units),
        Some(hash) => commands.hset_multiple(hash, &units),
    };
    let () = commands.query_async(&mut stage.raw().await).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_was_stopped_between_two_parts_goes_on_behind_them() {
    on_each_server(async |stage| {
        for hash in [None, Some("stock")] {
            let () = stage.cli("FLUSHALL").await;
            let participant = stage.participant(|settings| {
                settings.stock_hash = hash.map(str::to_owned);
            });
            let skus: Vec<String> = (0..STOCKS).map(|n| format!("sku-{n}")).collect();
            seed(stage, &skus, hash).await;
            let shop = enlist("shop", "log-a", 1, "i");
            participant.enlist(&shop).await.unwrap();
            let cart: Vec<(&str, u32)> = skus.iter().map(|sku| (&**sku, UNITS)).collect();
            participant.prepare(&prepare(ID, &[&cart])).await.unwrap();
            stop_behind_first_part(stage, &skus, hash).await;
            // Somebody else's debt of the same stock comes meanwhile.
            let other = [(&*skus[0], 4)];
            let other = participant.commit(&commit("shop.1.2", &[&other])).await;
            assert_eq!(other.unwrap().debts[0].quantity, 4);

            let committed = participant.commit(&commit(ID, &[&cart])).await.unwrap();
            assert_eq!(committed.evidence, CommitEvidence::Applied);
            let owed: Vec<_> = committed
                .debts
                .iter()
                .map(|debt| (&*debt.sku, debt.quantity))
                .collect();
            assert_eq!(owed, [("sku-0", 1)]);
            let question = AuditQuestion::Deducted {
                coordinator: "shop".parse().unwrap(),
                skus: skus.clone(),
            };
            let AuditAnswer::Deducted(deducted) = participant.audit(&question).await.unwrap()
            else {
                panic!("nothing is counted");
            };
            for (number, sku) in deducted.iter().enumerate() {
                let others = if number == 0 { 4 } else { 0 };
                assert_eq!(
                    (sku.value, sku.deducted),
                    (Some(0), u64::from(UNITS) + others),
                    "{sku:?}"
                );
            }
            let first = participant.stock(&skus[0]).await.unwrap().unwrap();
            assert_eq!((first.debt, first.holds.len()), (5, 0));
            let again = participant.commit(&commit(ID, &[&cart])).await.unwrap();
            assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
            assert_eq!(again.debts, committed.debts);
            stage.assert_quiet().await;
            let parts = match hash {
                None => stage.keys("witness:tandem:shop:stock:part").await,
                Some(hash) => stage.cli::<Vec<String>>(&format!("HKEYS {hash}")).await,
            };
            assert!(!parts.iter().any(|name| name.contains(":part:")));
        }
    })
    .await;
}
