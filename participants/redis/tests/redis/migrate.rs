//! Keys of version 1, as the scripts in `version_1/` kept them, are moved to where this build keeps its own,
//! whatever is unfinished and however often the server dies meanwhile; and whoever still runs on them is
//! refused by name.

use redis::{Script, Value, from_redis_value};
use tandem_participant::{BranchState, Commit, CommitEvidence, Error, Look, Participant, RollBack};
use tandem_protocol::Epoch;

use crate::stage::{Stage, commit, enlist, id, on_each_server, roll_back};

const CART: &[&[(&str, u32)]] = &[&[("tea", 2)]];

/// The scripts of version 1, called as the participant of that time called them, for stock keys.
struct Old<'a> {
    stage: &'a Stage,
}

impl Old<'_> {
    async fn enlist(
        &self,
        coordinator: &str,
        log: &str,
        epoch: u64,
    ) -> redis::RedisResult<Vec<Value>> {
        let script = Script::new(concat!(
            "#!lua flags=allow-oom\n",
            include_str!("version_1/enlist.lua")
        ));
        let mut call = script.prepare_invoke();
        call.key(format!("tandem:coordinator:{coordinator}"))
            .key(format!("tandem:committed:{coordinator}"))
            .key("tandem:life")
            .key(format!("witness:tandem:{coordinator}"))
            .arg(epoch)
            .arg(log)
            .arg("old-instance")
            .arg(64);
        call.invoke_async(&mut self.stage.raw().await).await
    }

    async fn call(
        &self,
        script: &str,
        transaction: &str,
        words: &[&str],
    ) -> redis::RedisResult<Vec<Value>> {
        let script = Script::new(script);
        let mut call = script.prepare_invoke();
        let parsed = id(transaction);
        let coordinator = &parsed.coordinator;
        for kind in [
            "coordinator",
            "committed",
            "released",
            "answers",
            "excepted",
        ] {
            call.key(format!("tandem:{kind}:{coordinator}"));
        }
        call.key("tandem:held")
            .key("tandem:prepared")
            .key(format!("tandem:tx:{transaction}"))
            .key("tandem:debt")
            .key(format!("witness:tandem:{coordinator}"))
            .key("tandem:life");
        if !words.is_empty() {
            call.key("stock:tea");
        }
        call.arg(transaction)
            .arg(format!("{}.{}", parsed.epoch, parsed.sequence))
            .arg(parsed.epoch.0 << 32 | parsed.sequence)
            .arg(parsed.epoch.0)
            .arg(words);
        call.invoke_async(&mut self.stage.raw().await).await
    }

    /// Holds two units of tea for the first entry; the second, if any, wants too many.
    async fn prepare(
        &self,
        transaction: &str,
        wants_too_much: bool,
    ) -> redis::RedisResult<Vec<Value>> {
        let script = concat!(
            "#!lua\n",
            include_str!("version_1/common.lua"),
            include_str!("version_1/stock.lua"),
            include_str!("version_1/prepare.lua")
        );
        let words = ["key", "1", "0", "1", "1", "2", "1", "1", "1", "5000"];
        let words = if wants_too_much {
            &words[..]
        } else {
            &words[..6]
        };
        self.call(script, transaction, words).await
    }

    async fn commit(&self, transaction: &str) -> redis::RedisResult<Vec<Value>> {
        let script = concat!(
            "#!lua flags=allow-oom\nlocal IS_REPAIR = false\n",
            include_str!("version_1/common.lua"),
            include_str!("version_1/stock.lua"),
            include_str!("version_1/commit.lua")
        );
        self.call(script, transaction, &["key", "1", "2"]).await
    }

    async fn roll_back(&self, transaction: &str) {
        let script = concat!(
            "#!lua flags=allow-oom\n",
            include_str!("version_1/common.lua"),
            include_str!("version_1/roll_back.lua")
        );
        self.call(script, transaction, &[]).await.unwrap();
    }

    /// Many commits, some roll backs, and two branches in doubt, of coordinator till.
    async fn fill(&self, commits: u64) {
        let () = self.stage.cli("SET stock:tea 1000").await;
        self.enlist("till", "log-till", 3).await.unwrap();
        for n in 1..=commits {
            self.commit(&format!("till.3.{n}")).await.unwrap();
        }
        self.roll_back("till.3.9001").await;
        self.prepare("till.3.9002", false).await.unwrap();
        self.prepare("till.3.9003", true).await.unwrap();
    }
}

/// A commit of an earlier epoch's transaction by the present one.
async fn commit_in(stage: &Stage, epoch: u64, transaction: &str) -> CommitEvidence {
    let decision = Commit {
        caller_epoch: Epoch(epoch),
        ..commit(transaction, CART)
    };
    stage.participant.commit(&decision).await.unwrap().evidence
}

async fn roll_back_in(stage: &Stage, epoch: u64, transaction: &str) {
    let roll_back = RollBack {
        caller_epoch: Epoch(epoch),
        ..roll_back(transaction)
    };
    stage.participant.roll_back(&roll_back).await.unwrap();
}

/// A text in an answer of the old scripts.
fn text(answer: &[Value], at: usize) -> String {
    from_redis_value(answer[at].clone()).unwrap()
}

/// A server that only version 1 has been at: what the stage enlisted is taken away.
async fn as_of_version_1(stage: &Stage) -> Old<'_> {
    let () = stage.cli("FLUSHALL").await;
    Old { stage }
}

#[tokio::test]
async fn what_version_1_remembers_holds_and_owes_is_there_after_the_move() {
    on_each_server(async |stage| {
        let old = as_of_version_1(stage).await;
        old.fill(70).await;
        let () = stage.cli("HSET tandem:debt stock:tea 3").await;
        let look = Look {
            coordinator: "till".parse().unwrap(),
        };
        let looked = stage.participant.look(&look).await.unwrap();
        let known = looked.known.unwrap();
        assert_eq!((known.log_id.as_str(), known.epoch.0), ("log-till", 3));
        assert_eq!(looked.newest_committed.len(), 64);
        assert!(looked.newest_committed.contains(&id("till.3.70")));

        let enlisted = stage
            .participant
            .enlist(&enlist("till", "log-till", 4, "i"))
            .await;
        assert!(
            enlisted
                .unwrap()
                .newest_committed
                .contains(&id("till.3.70"))
        );
        for n in [1, 63, 64, 70] {
            let again = commit_in(stage, 4, &format!("till.3.{n}")).await;
            assert_eq!(again, CommitEvidence::AlreadyApplied, "{n}");
        }
        let truth = stage.participant.inspect(&id("till.3.9001")).await.unwrap();
        assert_eq!(truth.state, BranchState::RolledBack);
        let stock = stage.stock("tea").await;
        assert_eq!((stock.value, stock.debt), (Some(1_000 - 140), 3));
        let held: u64 = stock.holds.iter().map(|hold| hold.quantity).sum();
        assert_eq!(held, 4);
        let committed = commit_in(stage, 4, "till.3.9002").await;
        assert_eq!(committed, CommitEvidence::Applied);
        let truth = stage.participant.inspect(&id("till.3.9003")).await.unwrap();
        assert_eq!(truth.state, BranchState::Prepared);
        roll_back_in(stage, 4, "till.3.9003").await;
        assert_eq!(stage.value_and_held("tea").await, (1_000 - 142, 0));
        // Only the witness tells, once the memory is lost.
        for key in stage.keys("tandem:").await {
            let _: i64 = stage.cli(&format!("DEL {key}")).await;
        }
        stage
            .participant
            .enlist(&enlist("till", "log-till", 5, "i"))
            .await
            .unwrap();
        let again = commit_in(stage, 5, "till.3.64").await;
        assert_eq!(again, CommitEvidence::AlreadyApplied);
    })
    .await;
}

#[tokio::test]
async fn whoever_still_runs_on_version_1_is_refused_by_name() {
    on_each_server(async |stage| {
        let old = as_of_version_1(stage).await;
        old.fill(3).await;
        old.enlist("desk", "log-desk", 1).await.unwrap();
        stage
            .participant
            .enlist(&enlist("till", "log-till", 4, "i"))
            .await
            .unwrap();
        let again = old.enlist("till", "log-till", 5).await.unwrap();
        assert_eq!(
            (text(&again, 0), text(&again, 1)),
            ("FENCED".into(), "LOG".into())
        );
        assert!(text(&again, 2).contains("by a newer tandem: update this one"));
        let late = old.prepare("till.4.1", false).await.unwrap();
        assert_eq!(text(&late, 0), "FENCED");
        let late = old.commit("till.3.9002").await.unwrap();
        assert_eq!(text(&late, 0), "FENCED");
        // Others, known or new, find no life that they could promise in.
        assert!(old.prepare("desk.1.1", false).await.is_err());
        assert!(old.enlist("desk", "log-desk", 2).await.is_err());
        assert!(old.enlist("new", "log-new", 1).await.is_err());
        assert_eq!(stage.value_and_held("tea").await, (994, 4));
    })
    .await;
}

#[tokio::test]
async fn another_coordinators_branches_of_version_1_are_left_to_it() {
    on_each_server(async |stage| {
        let old = as_of_version_1(stage).await;
        old.fill(3).await;
        old.enlist("desk", "log-desk", 1).await.unwrap();
        old.prepare("desk.1.7", false).await.unwrap();
        let refused = stage
            .participant
            .enlist(&enlist("till", "log-till", 4, "i"))
            .await;
        let Err(Error::Invalid { detail }) = &refused else {
            panic!("{refused:?}");
        };
        assert!(detail.contains("desk.1.7"), "{detail}");
        // Nothing has been moved: the one that runs goes on.
        let committed = old.commit("desk.1.7").await.unwrap();
        assert_eq!(text(&committed, 0), "APPLIED");
        let committed = old.commit("till.3.9002").await.unwrap();
        assert_eq!(text(&committed, 0), "APPLIED");
        stage
            .participant
            .enlist(&enlist("till", "log-till", 4, "i"))
            .await
            .unwrap();
        // What the other one remembers goes with it when it is updated.
        stage
            .participant
            .enlist(&enlist("desk", "log-desk", 2, "i"))
            .await
            .unwrap();
        let again = commit_in(stage, 2, "desk.1.7").await;
        assert_eq!(again, CommitEvidence::AlreadyApplied);
    })
    .await;
}

#[tokio::test]
async fn a_later_version_is_refused_by_name() {
    on_each_server(async |stage| {
        let () = stage.cli("SET tandem:life 3").await;
        let look = Look {
            coordinator: "shop".parse().unwrap(),
        };
        let error = stage.participant.look(&look).await.unwrap_err();
        assert!(error.to_string().contains("version 3"), "{error}");
        let error = stage.enlist(1, "i").await.unwrap_err();
        assert!(error.to_string().contains("update it"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_killed_while_keys_are_moved_loses_and_repeats_nothing() {
    on_each_server(async |stage| {
        let old = as_of_version_1(stage).await;
        let rounds = match std::env::var("TANDEM_MIGRATION_KILLS") {
            Ok(rounds) => rounds.parse().unwrap(),
            Err(_) => 5,
        };
        for round in 0..rounds {
            let () = stage.cli("FLUSHALL").await;
            // More than one call of the migration moves.
            old.fill(9).await;
            let many: Vec<String> = (10..=6_000)
                .map(|n: u64| format!("{} 3.{n}", 3_u64 << 32 | n))
                .collect();
            let _: i64 = stage
                .cli(&format!("ZADD tandem:committed:till {}", many.join(" ")))
                .await;
            let till = enlist("till", "log-till", 4, "i");
            let participant = stage.participant.clone();
            let moving = tokio::spawn(async move { participant.enlist(&till).await });
            // At another moment of it in each round.
            let moved = 500 * (1 + round % 10);
            loop {
                let left: i64 = stage.cli("ZCARD tandem:committed:till").await;
                if left <= 6_000 - moved || moving.is_finished() {
                    break;
                }
            }
            stage.server.kill9().unwrap();
            let _ = moving.await.unwrap();
            if stage.server.restart().is_err() {
                stage.server.restart().unwrap();
            }
            let _ = stage.participant.list_prepared().await;
            stage
                .participant
                .enlist(&enlist("till", "log-till", 4, "i"))
                .await
                .unwrap();
            for n in [1, 9, 10, 3_000, 6_000] {
                let again = commit_in(stage, 4, &format!("till.3.{n}")).await;
                assert_eq!(again, CommitEvidence::AlreadyApplied, "{n}");
            }
            let count: i64 = stage.cli("ZCARD tandem:committed:till:stock").await;
            assert_eq!(count, 6_000);
            let last = commit_in(stage, 4, "till.3.9002").await;
            assert_eq!(last, CommitEvidence::Applied);
            roll_back_in(stage, 4, "till.3.9003").await;
            assert_eq!(stage.value_and_held("tea").await, (1_000 - 20, 0));
        }
    })
    .await;
}
