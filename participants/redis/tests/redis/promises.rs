//! Prepare, commit and roll back as a coordinator relies on them.

use std::time::Duration;

use tandem_participant::{
    BranchState, CommitEvidence, Error, HeuristicKind, Participant, PreparedId,
};
use tandem_protocol::Reason;

use crate::stage::{
    assert_no, commit, id, on_each_server, on_each_server_with, prepare, refused, roll_back,
};

#[tokio::test]
async fn units_are_held_at_prepare_and_deducted_at_commit() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 10").await;
        let vote = stage.prepare("shop.1.1", &[&[("tea", 3)]]).await;
        assert_eq!(refused(&vote), []);
        assert_eq!(stage.value_and_held("tea").await, (10, 3));

        let committed = stage.commit("shop.1.1", &[&[("tea", 3)]]).await;
        assert_eq!(committed.evidence, CommitEvidence::Applied);
        assert_eq!(committed.debts, []);
        assert_eq!(stage.value_and_held("tea").await, (7, 0));
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn fields_of_a_hash_are_held_and_deducted_alike() {
    on_each_server(async |stage| {
        let () = stage.cli("HSET warehouse tea 10 milk many").await;
        let hash = stage.participant(|settings| settings.stock_hash = Some("warehouse".into()));
        let carts: &[&[(&str, u32)]] = &[&[("tea", 4)], &[("milk", 1)], &[("salt", 1)]];
        let vote = hash
            .prepare(&prepare("shop.1.1", carts))
            .await
            .map(|voted| voted.vote)
            .unwrap();
        assert_eq!(
            refused(&vote),
            [(1, Reason::NotANumber), (2, Reason::UnknownSku)]
        );
        hash.commit(&commit("shop.1.1", &carts[..1])).await.unwrap();
        assert_eq!(hash.stock("tea").await.unwrap().unwrap().value, Some(6));
        stage.assert_quiet().await;

        let () = stage.cli("SET warehouse burnt").await;
        let vote = hash
            .prepare(&prepare("shop.1.2", carts))
            .await
            .map(|voted| voted.vote)
            .unwrap();
        assert_eq!(refused(&vote)[0], (0, Reason::NotANumber));
    })
    .await;
}

#[tokio::test]
async fn entries_are_refused_one_by_one_each_with_its_reason() {
    on_each_server(async |stage| {
        let () = stage
            .cli("MSET stock:tea 5 stock:jam 3.5 stock:rye 007 stock:oil -2")
            .await;
        let () = stage.cli("SET stock:big 9007199254740992").await;
        let _: i64 = stage.cli("LPUSH stock:list 1").await;
        let carts: &[&[(&str, u32)]] = &[
            &[("tea", 3)],
            &[("tea", 3)],
            &[("none", 1)],
            &[("jam", 1)],
            &[("list", 1)],
            &[("rye", 1)],
            &[("oil", 1)],
            &[("big", 1)],
            &[("tandem:held", 1)],
            &[("tea", 2)],
        ];
        let vote = stage.prepare("shop.1.1", carts).await;
        assert_eq!(
            refused(&vote),
            [
                (1, Reason::InsufficientStock),
                (2, Reason::UnknownSku),
                (3, Reason::NotANumber),
                (4, Reason::NotANumber),
                (5, Reason::NotANumber),
                (6, Reason::InsufficientStock),
                (7, Reason::NotANumber),
                (8, Reason::UnknownSku),
            ]
        );
        let text = format!("{vote:?}");
        assert!(text.contains("sku tea: 3 wanted, 2 available"), "{text}");
        assert!(text.contains("key stock:none does not exist"), "{text}");
        assert!(text.contains("2^53"), "{text}");

        let committed = stage.commit("shop.1.1", &[carts[0], carts[9]]).await;
        assert_eq!(committed.debts, []);
        assert_eq!(stage.value_and_held("tea").await, (0, 0));
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn a_sku_can_not_name_a_key_of_tandems_own() {
    on_each_server(async |stage| {
        let () = stage.cli("SET tandem:trap 5").await;
        let bare = stage.participant(|settings| settings.stock_key = Some("{sku}".into()));
        let carts: &[&[(&str, u32)]] = &[&[("tandem:trap", 1)]];
        let vote = bare
            .prepare(&prepare("shop.1.1", carts))
            .await
            .map(|voted| voted.vote)
            .unwrap();
        assert_eq!(refused(&vote), [(0, Reason::UnknownSku)]);
        assert!(matches!(
            bare.commit(&commit("shop.1.1", carts)).await,
            Err(Error::Invalid { .. })
        ));
        assert_eq!(stage.cli::<i64>("GET tandem:trap").await, 5);
    })
    .await;
}

#[tokio::test]
async fn a_cart_is_held_whole_or_not_at_all() {
    on_each_server(async |stage| {
        let () = stage
            .cli("MSET stock:a 9 stock:b 9 stock:c 9 stock:d 9 stock:e 0")
            .await;
        let bad = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 1)];
        let vote = stage.prepare("shop.1.1", &[&bad, &[("d", 9)]]).await;
        assert_eq!(refused(&vote), [(0, Reason::InsufficientStock)]);
        for sku in ["a", "b", "c", "e"] {
            assert_eq!(stage.value_and_held(sku).await.1, 0, "{sku}");
        }
        assert_eq!(stage.value_and_held("d").await, (9, 9));
    })
    .await;
}

#[tokio::test]
async fn what_others_hold_is_not_promised_again() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        stage.prepare("shop.1.1", &[&[("tea", 4)]]).await;
        let vote = stage
            .prepare("kiosk.1.1", &[&[("tea", 2)], &[("tea", 1)]])
            .await;
        assert_eq!(refused(&vote), [(0, Reason::InsufficientStock)]);

        let stock = stage.stock("tea").await;
        let holders: Vec<_> = stock
            .holds
            .iter()
            .map(|hold| (hold.transaction.to_string(), hold.quantity))
            .collect();
        assert_eq!(holders, [("shop.1.1".into(), 4), ("kiosk.1.1".into(), 1)]);
        assert!(stock.holds[0].since.0 > 1_600_000_000_000);

        stage.roll_back("shop.1.1").await;
        assert_eq!(stage.value_and_held("tea").await, (5, 1));
    })
    .await;
}

#[tokio::test]
async fn a_commit_releases_what_the_decision_leaves_out() {
    on_each_server(async |stage| {
        let () = stage.cli("MSET stock:tea 5 stock:jam 5").await;
        stage
            .prepare("shop.1.1", &[&[("tea", 2)], &[("tea", 1), ("jam", 3)]])
            .await;
        stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(stage.value_and_held("tea").await, (3, 0));
        assert_eq!(stage.value_and_held("jam").await, (5, 0));
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn a_repeated_commit_deducts_once() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        stage.prepare("shop.1.1", &[&[("tea", 2)]]).await;
        stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        let again = stage.commit("shop.1.1", &[&[("tea", 2)]]).await;
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(stage.value_and_held("tea").await, (3, 0));
    })
    .await;
}

#[tokio::test]
async fn commits_at_the_same_time_deduct_once() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 100").await;
        stage.prepare("shop.1.1", &[&[("tea", 7)]]).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let participant = stage.participant.clone();
            calls.spawn(async move {
                let decision = commit("shop.1.1", &[&[("tea", 7)]]);
                participant.commit(&decision).await.unwrap().evidence
            });
        }
        let evidence = calls.join_all().await;
        let applied = evidence.iter().filter(|e| **e == CommitEvidence::Applied);
        assert_eq!(applied.count(), 1, "{evidence:?}");
        assert_eq!(stage.value_and_held("tea").await, (93, 0));
    })
    .await;
}

#[tokio::test]
async fn the_sale_of_the_last_unit_can_be_repeated() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 1").await;
        for _ in 0..2 {
            let vote = stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
            assert_eq!(refused(&vote), []);
            assert_eq!(stage.value_and_held("tea").await, (1, 1));
        }
        stage.commit("shop.1.1", &[&[("tea", 1)]]).await;
        let again = stage.commit("shop.1.1", &[&[("tea", 1)]]).await;
        assert_eq!(again.evidence, CommitEvidence::AlreadyApplied);
        assert_eq!(stage.value_and_held("tea").await, (0, 0));
        assert_no(
            &stage.prepare("shop.1.1", &[&[("tea", 1)]]).await,
            "committed",
        );
    })
    .await;
}

#[tokio::test]
async fn a_repeated_prepare_gets_the_first_verdict_whatever_the_stock_is_now() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 2").await;
        let part = stage
            .prepare("shop.1.1", &[&[("tea", 1)], &[("tea", 5)]])
            .await;
        let whole = stage.prepare("shop.1.2", &[&[("tea", 5)]]).await;
        let () = stage.cli("SET stock:tea 100").await;
        assert_eq!(
            stage
                .prepare("shop.1.1", &[&[("tea", 1)], &[("tea", 5)]])
                .await,
            part
        );
        assert_eq!(stage.prepare("shop.1.2", &[&[("tea", 5)]]).await, whole);
        assert_eq!(refused(&whole), [(0, Reason::InsufficientStock)]);
        assert_eq!(stage.value_and_held("tea").await, (100, 1));
    })
    .await;
}

#[tokio::test]
async fn when_all_are_refused_nothing_stays_prepared() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 1").await;
        stage
            .prepare("shop.1.1", &[&[("tea", 2)], &[("milk", 1)]])
            .await;
        assert_eq!(stage.participant.list_prepared().await.unwrap(), []);
        stage.assert_quiet().await;
        stage.roll_back("shop.1.1").await;
        let late = stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        assert_no(&late, "rolled back");
    })
    .await;
}

#[tokio::test]
async fn late_prepare_after_roll_back_holds_nothing() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        stage.roll_back("shop.1.1").await;
        let late = stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        assert_no(&late, "rolled back");
        assert_eq!(stage.value_and_held("tea").await, (5, 0));
        stage.assert_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn contradictions_are_named_and_change_nothing() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.roll_back("shop.1.1").await;
        let decided = stage
            .participant
            .commit(&commit("shop.1.1", &[&[("tea", 1)]]))
            .await;
        let Err(Error::Heuristic { kind, .. }) = decided else {
            panic!("{decided:?}");
        };
        assert_eq!(kind, HeuristicKind::RolledBack);

        stage.prepare("shop.1.2", &[&[("tea", 1)]]).await;
        stage.commit("shop.1.2", &[&[("tea", 1)]]).await;
        let aborted = stage.participant.roll_back(&roll_back("shop.1.2")).await;
        let Err(Error::Heuristic { kind, .. }) = aborted else {
            panic!("{aborted:?}");
        };
        assert_eq!(kind, HeuristicKind::Committed);
        assert_eq!(stage.value_and_held("tea").await, (4, 0));
    })
    .await;
}

#[tokio::test]
async fn the_store_tells_the_truth_about_each_state() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        stage.prepare("shop.1.1", &[&[("tea", 1)]]).await;
        stage.commit("shop.1.1", &[&[("tea", 1)]]).await;
        stage.roll_back("shop.1.2").await;
        stage.prepare("shop.1.3", &[&[("tea", 2)]]).await;
        for (transaction, state, words) in [
            ("shop.1.1", BranchState::Committed, "committed"),
            ("shop.1.2", BranchState::RolledBack, "rolled back"),
            ("shop.1.3", BranchState::Prepared, "2 of stock:tea"),
            ("shop.1.4", BranchState::Absent, "neither"),
        ] {
            let truth = stage.participant.inspect(&id(transaction)).await.unwrap();
            assert_eq!(truth.state, state, "{transaction}");
            assert!(truth.detail.contains(words), "{}", truth.detail);
        }
        let prepared = stage.participant.list_prepared().await.unwrap();
        assert_eq!(prepared.len(), 1);
        assert_eq!(prepared[0].id, PreparedId::Transaction(id("shop.1.3")));
        assert!(prepared[0].prepare_time.is_some());
    })
    .await;
}

/// A cluster of one node refuses scripts whose keys are in two slots or are not declared.
#[tokio::test]
async fn every_key_is_declared_and_in_the_slot_of_the_stock() {
    // The default, 10000 above the server's port, may be taken by an outgoing connection.
    let bus = free_port().to_string();
    let args = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    on_each_server_with(&args, async |stage| {
        let () = stage.cli("CLUSTER ADDSLOTSRANGE 0 16383").await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !stage
            .cli::<String>("CLUSTER INFO")
            .await
            .contains("cluster_state:ok")
        {
            assert!(tokio::time::Instant::now() < deadline, "no cluster");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let () = stage.cli("SET {shop}stock:tea 5").await;
        let tagged = stage.participant(|settings| {
            settings.stock_key = Some("{shop}stock:{sku}".into());
            settings.key_prefix = "{shop}tandem:".into();
            settings.accept = vec!["CLUSTER".into()];
        });
        let enlist = crate::stage::enlist("shop", "log-a", 1, "i");
        tagged.enlist(&enlist).await.unwrap();
        let carts: &[&[(&str, u32)]] = &[&[("tea", 2)], &[("tea", 9)], &[("milk", 1)]];
        tagged.prepare(&prepare("shop.1.1", carts)).await.unwrap();
        tagged
            .prepare(&prepare("shop.1.2", &carts[..1]))
            .await
            .unwrap();
        tagged
            .commit(&commit("shop.1.1", &[&[("tea", 2)], &[("milk", 1)]]))
            .await
            .unwrap();
        tagged.roll_back(&roll_back("shop.1.2")).await.unwrap();
        tagged.inspect(&id("shop.1.1")).await.unwrap();
        tagged
            .forget(&crate::stage::forget("shop.1.2", &[]))
            .await
            .unwrap();
        let stock = tagged.stock("tea").await.unwrap().unwrap();
        assert_eq!((stock.value, stock.holds), (Some(3), vec![]));

        let plain = stage.participant.enlist(&enlist).await;
        let Err(Error::Unsafe { findings }) = plain else {
            panic!("{plain:?}");
        };
        assert_eq!(findings[0].name, "CLUSTER");
    })
    .await;
}

/// A port below those that outgoing connections use.
fn free_port() -> u16 {
    let first = 12_000 + (std::process::id() % 8_000) as u16;
    let mut ports = first..20_000;
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).unwrap()
}
