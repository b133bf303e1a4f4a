//! What happens when Redis lost something, or when the app changed the stock meanwhile.

use tandem_participant::{CommitEvidence, Error, Participant};

use crate::stage::{commit, forget, id, on_each_server, prepare, roll_back};

#[tokio::test]
async fn a_lost_branch_is_redone_from_the_decision_once() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 9").await;
        stage.prepare("shop.1.1", &[&[("tea", 2)]]).await;
        let () = stage.cli("FLUSHALL").await;
        let () = stage.cli("SET stock:tea 9").await;
        let decision = commit("shop.1.1", &[&[("tea", 2)]]);
        let refused = stage.participant.commit(&decision).await;
        assert!(matches!(refused, Err(Error::NotEnlisted { .. })));
        stage.enlist(1, "i").await.unwrap();
        let redone = stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(redone.evidence, CommitEvidence::Redone);
        assert_eq!(redone.debts, []);
        let again = stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
    })
    .await;
}

#[tokio::test]
async fn a_flushed_store_does_nothing_until_it_was_asked_what_it_lost() {
    on_each_server(async |stage| {
        let before = stage.enlist(1, "i").await.unwrap();
        let cart: &[&[(&str, u32)]] = &[&[("tea", 1)]];
        let () = stage.cli("SET stock:tea 9").await;
        stage.prepare("shop.1.1", cart).await;
        stage.commit("shop.1.1", cart).await;
        assert_eq!(stage.forgotten(&["shop.1.1"]).await.unwrap(), []);
        let () = stage.cli("FLUSHALL").await;
        let () = stage.cli("SET stock:tea 9").await;
        let participant = &stage.participant;
        not_enlisted(
            participant
                .prepare(&prepare("shop.1.2", cart))
                .await
                .map(|voted| voted.vote),
        );
        not_enlisted(participant.commit(&commit("shop.1.1", cart)).await);
        not_enlisted(participant.roll_back(&roll_back("shop.1.2")).await);
        not_enlisted(participant.forget(&forget("shop.1.2", &[])).await);
        not_enlisted(stage.forgotten(&[]).await);
        assert_eq!(stage.value_and_held("tea").await, (9, 0));

        let after = stage.enlist(1, "i").await.unwrap();
        assert_ne!(after.incarnation, before.incarnation);
        assert_eq!(stage.enlist(1, "i").await.unwrap(), after);
        let forgotten = stage.forgotten(&["shop.1.2", "shop.1.1"]).await.unwrap();
        assert_eq!(forgotten, [id("shop.1.2"), id("shop.1.1")]);
    })
    .await;
}

#[tokio::test]
async fn deleted_memory_is_noticed_and_its_commits_are_not_made_again() {
    on_each_server(async |stage| {
        let before = stage.enlist(1, "i").await.unwrap();
        let () = stage.cli("SET stock:tea 900").await;
        let cart: &[&[(&str, u32)]] = &[&[("tea", 1)]];
        for n in [1, 2, 63, 64, 65, 4_000_000_000_u64] {
            stage.prepare(&format!("shop.1.{n}"), cart).await;
            stage.commit(&format!("shop.1.{n}"), cart).await;
        }
        // A late repeat of the first prepare may hold units before anybody has asked.
        for key in stage.keys("tandem:").await {
            let _: i64 = stage.cli(&format!("DEL {key}")).await;
        }
        not_enlisted(stage.forgotten(&[]).await);
        let after = stage.enlist(1, "i").await.unwrap();
        assert_ne!(after.incarnation, before.incarnation);
        stage.prepare("shop.1.1", cart).await;
        assert_eq!(stage.forgotten(&["shop.1.64"]).await.unwrap().len(), 1);
        for n in [1, 2, 63, 64, 65, 4_000_000_000_u64] {
            let again = stage.commit(&format!("shop.1.{n}"), cart).await;
            assert_eq!(again.evidence, CommitEvidence::AlreadyApplied, "{n}");
        }
        let never = stage.commit("shop.1.66", cart).await;
        assert_eq!(never.evidence, CommitEvidence::Redone);
        assert_eq!(stage.value_and_held("tea").await, (893, 0));
        assert_eq!(stage.forgotten(&["shop.1.64"]).await.unwrap(), []);
        assert_eq!(
            stage.enlist(1, "i").await.unwrap().incarnation,
            after.incarnation
        );

        // What is forgotten by leave is forgotten by the witness too.
        stage.forget("shop.1.65", &["shop.1.63"]).await;
        let mut witnessed = 0;
        for key in stage.keys("witness:tandem:shop:stock:1.").await {
            let row: String = stage.cli(&format!("GET {key}")).await;
            witnessed += row.matches('1').count();
        }
        assert_eq!(witnessed, 4);
    })
    .await;
}

#[tokio::test]
async fn commits_that_are_taken_out_of_the_memory_are_noticed() {
    on_each_server(async |stage| {
        let before = stage.enlist(1, "i").await.unwrap();
        let () = stage.cli("SET stock:tea 9").await;
        for n in 1..=3 {
            stage.commit(&format!("shop.1.{n}"), &[&[("tea", 1)]]).await;
        }
        assert_eq!(stage.forgotten(&[]).await.unwrap(), []);
        let _: i64 = stage.cli("ZREM tandem:committed:shop:stock a1.a2").await;
        not_enlisted(stage.forgotten(&[]).await);
        let after = stage.enlist(1, "i").await.unwrap();
        assert_ne!(after.incarnation, before.incarnation);
        let all = ["shop.1.1", "shop.1.2", "shop.1.3"];
        assert_eq!(stage.forgotten(&all).await.unwrap(), [id("shop.1.2")]);
    })
    .await;
}

#[tokio::test]
async fn a_restarted_server_promises_nothing_until_somebody_enlists() {
    on_each_server(async |stage| {
        let before = stage.enlist(1, "i").await.unwrap();
        let () = stage.cli("SET stock:tea 9").await;
        let cart: &[&[(&str, u32)]] = &[&[("tea", 1)]];
        stage.prepare("shop.1.1", cart).await;
        stage.server.kill9().unwrap();
        stage.server.restart().unwrap();
        let _ = stage.participant.list_prepared().await;
        not_enlisted(
            stage
                .participant
                .prepare(&prepare("shop.1.2", cart))
                .await
                .map(|voted| voted.vote),
        );
        not_enlisted(stage.forgotten(&[]).await);
        // Not what is decided either: the end of a torn file must be cut off before the first write.
        not_enlisted(stage.participant.commit(&commit("shop.1.1", cart)).await);
        let after = stage.enlist(1, "i").await.unwrap();
        let committed = stage.commit("shop.1.1", cart).await;
        assert_eq!(committed.evidence, CommitEvidence::Applied);
        assert_ne!(after.incarnation, before.incarnation);
        assert_eq!(stage.forgotten(&["shop.1.1"]).await.unwrap(), []);
        assert_eq!(stage.value_and_held("tea").await, (8, 0));
    })
    .await;
}

fn not_enlisted(answer: Result<impl std::fmt::Debug, Error>) {
    assert!(
        matches!(answer, Err(Error::NotEnlisted { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_can_not_be_deducted_becomes_debt_and_a_repeat_says_so_again() {
    on_each_server(async |stage| {
        let () = stage
            .cli("MSET stock:tea 9 stock:jam 9 stock:rye 9 stock:oil 9")
            .await;
        let cart: &[(&str, u32)] = &[("tea", 1), ("jam", 2), ("rye", 3), ("oil", 4)];
        stage.prepare("shop.1.1", &[cart]).await;
        let () = stage.cli("DEL stock:jam stock:oil").await;
        let () = stage.cli("SET stock:rye many").await;
        let _: i64 = stage.cli("LPUSH stock:oil 1").await;

        let first = stage.commit("shop.1.1", &[cart]).await;
        assert_eq!(first.evidence, CommitEvidence::Applied);
        let debts: Vec<_> = first
            .debts
            .iter()
            .map(|debt| (debt.sku.as_str(), debt.quantity))
            .collect();
        assert_eq!(debts, [("jam", 2), ("rye", 3), ("oil", 4)]);
        assert!(first.debts[0].detail.contains("does not exist"));

        let again = stage.commit("shop.1.1", &[cart]).await;
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(again.debts, first.debts);

        assert_eq!(stage.value_and_held("tea").await, (8, 0));
        let jam = stage.stock("jam").await;
        assert_eq!((jam.value, jam.debt), (None, 2));
        assert!(jam.detail.contains("does not exist"), "{}", jam.detail);
        let rye = stage.stock("rye").await;
        assert_eq!((rye.value, rye.debt), (None, 3));
        assert_eq!(stage.cli::<String>("GET stock:rye").await, "many");
        assert_eq!(stage.stock("oil").await.debt, 4);
        assert_eq!(stage.cli::<i64>("EXISTS stock:jam").await, 0);
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn stock_that_the_app_took_meanwhile_is_owed_and_never_goes_below_zero() {
    on_each_server(async |stage| {
        let () = stage.cli("MSET stock:tea 5 stock:jam 5").await;
        stage
            .prepare("shop.1.1", &[&[("tea", 4), ("jam", 4)]])
            .await;
        let () = stage.cli("MSET stock:tea 1 stock:jam -3").await;
        let committed = stage.commit("shop.1.1", &[&[("tea", 4), ("jam", 4)]]).await;
        let debts: Vec<_> = committed.debts.iter().map(|debt| debt.quantity).collect();
        assert_eq!(debts, [3, 4]);
        assert!(committed.debts[0].detail.contains("only 1"));
        assert_eq!(stage.value_and_held("tea").await, (0, 0));
        assert_eq!(stage.value_and_held("jam").await, (-3, 0));
    })
    .await;
}

#[tokio::test]
async fn a_debt_of_one_sku_adds_up() {
    on_each_server(async |stage| {
        for n in [1, 2] {
            stage
                .commit(&format!("shop.1.{n}"), &[&[("tea", 2)], &[("tea", 3)]])
                .await;
        }
        assert_eq!(stage.stock("tea").await.debt, 10);
    })
    .await;
}

#[tokio::test]
async fn a_key_of_tandems_that_became_another_type_stops_a_commit_before_its_first_write() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        let () = stage.cli("SET tandem:debt oops").await;
        let decision = crate::stage::commit("shop.1.1", &[&[("tea", 2)]]);
        let error = stage.participant.commit(&decision).await.unwrap_err();
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        assert_eq!(stage.cli::<i64>("GET stock:tea").await, 5);
        let _: i64 = stage.cli("DEL tandem:debt").await;
        let redone = stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(redone.evidence, CommitEvidence::Redone);
    })
    .await;
}
