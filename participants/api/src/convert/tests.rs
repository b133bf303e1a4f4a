#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use strum::VariantArray;
use tandem_proto::v1;
use tandem_protocol::{Item, Purchase, Reason, Refusal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::audit_question::AuditQuestion;
use crate::error::ErrorKind;
use crate::{
    BranchState, BranchTruth, Commit, Committed, Enlist, Enlisted, Forget, HeuristicKind, Prepare,
    PreparedId, Recall, Recalled, RefusedEntry, RollBack, Vote, Voted, rules,
};

fn entry() -> v1::Entry {
    v1::Entry {
        number: 0,
        purchase_id: "p-1".into(),
        customer_id: "c-1".into(),
        items: vec![v1::Item {
            sku: "sku-1".into(),
            quantity: 2,
            unit_price_minor: 995,
            ..Default::default()
        }],
        currency: "EUR".into(),
        ..Default::default()
    }
}

fn prepare() -> v1::PrepareRequest {
    v1::PrepareRequest {
        transaction_id: "shop.1.7".into(),
        entries: vec![entry()],
        timeout: Some(prost_types::Duration {
            seconds: 2,
            nanos: 5,
        }),
        participants: vec!["purchases".into(), "stock".into()],
        incarnation: "life-1".into(),
        acknowledged: Some(v1::Acknowledged {
            changes: 7,
            committed_transaction_ids: vec!["shop.1.6".into()],
        }),
        begin_time: Some(prost_types::Timestamp {
            seconds: 4,
            nanos: 9_000_000,
        }),
    }
}

fn commit() -> v1::CommitRequest {
    v1::CommitRequest {
        transaction_id: "shop.1.7".into(),
        caller_epoch: 1,
        entries: vec![entry()],
        decide_time: Some(prost_types::Timestamp {
            seconds: 5,
            nanos: 6_000_000,
        }),
        begin_time: Some(prost_types::Timestamp {
            seconds: 4,
            nanos: 9_000_000,
        }),
    }
}

#[test]
fn an_older_coordinators_transaction_began_when_it_was_decided() {
    let mut commit = commit();
    commit.begin_time = None;
    let commit = Commit::try_from(commit).unwrap();
    assert_eq!(commit.begin_time, Timestamp(5_006));
}

/// The path that an error names before its colon.
fn field<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Invalid { detail }) => detail.split(':').next().unwrap().to_owned(),
        other => panic!("expected an invalid field, got {other:?}"),
    }
}

fn broken_prepare(change: impl FnOnce(&mut v1::PrepareRequest)) -> String {
    let mut request = prepare();
    change(&mut request);
    field(Prepare::try_from(request))
}

fn broken_commit(change: impl FnOnce(&mut v1::CommitRequest)) -> String {
    let mut request = commit();
    change(&mut request);
    field(Commit::try_from(request))
}

#[test]
fn requests_come_back_as_they_were() {
    let read = Prepare::try_from(prepare()).unwrap();
    assert_eq!(v1::PrepareRequest::from(&read), prepare());
    let read = Commit::try_from(commit()).unwrap();
    assert_eq!(v1::CommitRequest::from(&read), commit());
    let enlist = v1::EnlistRequest {
        coordinator_id: "shop".into(),
        log_id: "l".into(),
        epoch: 3,
        instance_id: "i".into(),
        acknowledged: Some(v1::Acknowledged::default()),
    };
    let read = Enlist::try_from(enlist.clone()).unwrap();
    assert_eq!(v1::EnlistRequest::from(&read), enlist);
    let older = v1::EnlistRequest {
        acknowledged: None,
        ..enlist
    };
    let refused = Enlist::try_from(older).unwrap_err().to_string();
    assert!(refused.contains("coordinator shop is older"), "{refused}");
    let roll_back = v1::RollBackRequest {
        transaction_id: "shop.1.7".into(),
        caller_epoch: 2,
    };
    let read = RollBack::try_from(roll_back.clone()).unwrap();
    assert_eq!(v1::RollBackRequest::from(&read), roll_back);
    let forget = v1::ForgetRequest {
        coordinator_id: "shop".into(),
        caller_epoch: 2,
        before_transaction_id: "shop.1.7".into(),
        except_transaction_ids: vec!["shop.1.3".into()],
        closed_transaction_id: "shop.1.9".into(),
    };
    let read = Forget::try_from(forget.clone()).unwrap();
    assert_eq!(v1::ForgetRequest::from(&read), forget);
    let read = Recall::try_from(recall(&["shop.1.3", "shop.1.7"])).unwrap();
    assert_eq!(
        v1::RecallRequest::from(&read),
        recall(&["shop.1.3", "shop.1.7"])
    );
}

fn recall(ids: &[&str]) -> v1::RecallRequest {
    v1::RecallRequest {
        coordinator_id: "shop".into(),
        caller_epoch: 2,
        transaction_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    }
}

#[test]
fn a_broken_recall_names_its_field() {
    let others = Recall::try_from(recall(&["shop.1.3", "kiosk.1.3"]));
    assert_eq!(field(others), "transaction_ids[1]");
    let many = Recall::try_from(recall(&["shop.1.3"; Recall::TRANSACTIONS_MAX + 1]));
    assert_eq!(field(many), "transaction_ids");
    let answer = v1::RecallResponse {
        forgotten_transaction_ids: vec!["shop.1".into()],
        ..v1::RecallResponse::default()
    };
    let read = Recalled::try_from(answer);
    assert_eq!(field(read), "forgotten_transaction_ids[0]");
    let never_forgot = Recalled::try_from(v1::RecallResponse::default()).unwrap();
    assert_eq!(never_forgot, Recalled::default());
}

#[test]
fn a_broken_prepare_names_its_field() {
    assert_eq!(
        broken_prepare(|p| p.transaction_id = "shop.1".into()),
        "transaction_id"
    );
    assert_eq!(broken_prepare(|p| p.timeout = None), "timeout");
    let negative = prost_types::Duration {
        seconds: -1,
        nanos: 0,
    };
    assert_eq!(broken_prepare(|p| p.timeout = Some(negative)), "timeout");
    assert_eq!(broken_prepare(|p| p.entries.clear()), "entries");
    let repeated = |p: &mut v1::PrepareRequest| p.entries.push(entry());
    assert_eq!(broken_prepare(repeated), "entries[1].number");
    let sku = |p: &mut v1::PrepareRequest| p.entries[0].items[0].sku = "{a}".into();
    assert_eq!(broken_prepare(sku), "entries[0].items[0].sku");
}

#[test]
fn a_broken_commit_names_its_field() {
    assert_eq!(broken_commit(|c| c.caller_epoch = 0), "caller_epoch");
    assert_eq!(broken_commit(|c| c.decide_time = None), "decide_time");
    for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0)] {
        let time = prost_types::Timestamp { seconds, nanos };
        assert_eq!(broken_commit(|c| c.decide_time = Some(time)), "decide_time");
    }
}

#[test]
fn a_broken_enlist_names_its_field() {
    let broken = |id: &str, log: &str, epoch, instance: &str| {
        field(Enlist::try_from(v1::EnlistRequest {
            coordinator_id: id.into(),
            log_id: log.into(),
            epoch,
            instance_id: instance.into(),
            ..v1::EnlistRequest::default()
        }))
    };
    assert_eq!(broken("Shop", "l", 1, "i"), "coordinator_id");
    assert_eq!(broken("shop", "", 1, "i"), "log_id");
    assert_eq!(broken("shop", "l", 0, "i"), "epoch");
    assert_eq!(broken("shop", "l", 1, &"i".repeat(65)), "instance_id");
}

#[test]
fn a_forget_that_mixes_coordinators_is_refused() {
    let broken = |coordinator: &str, except: &str| {
        field(Forget::try_from(v1::ForgetRequest {
            coordinator_id: coordinator.into(),
            caller_epoch: 1,
            before_transaction_id: "shop.1.7".into(),
            except_transaction_ids: vec![except.into()],
            ..v1::ForgetRequest::default()
        }))
    };
    assert_eq!(broken("other", "shop.1.3"), "coordinator_id");
    assert_eq!(broken("shop", "other.1.3"), "except_transaction_ids[0]");
}

#[test]
fn a_vote_that_is_missing_is_no_vote() {
    let vote = voted_from_wire(v1::PrepareResponse { vote: None });
    assert_eq!(field(vote), "vote");
}

#[test]
fn a_reason_of_another_make_is_still_a_refusal() {
    let yes = v1::VoteYes {
        changes: 8,
        refused: vec![v1::RefusedEntry {
            number: 4,
            reason: "CREDIT_LIMIT".into(),
            detail: "é".repeat(400),
        }],
        incarnation: String::new(),
    };
    let answer = v1::PrepareResponse {
        vote: Some(v1::prepare_response::Vote::Yes(yes)),
    };
    let Vote::Yes { refused, .. } = voted_from_wire(answer).unwrap().vote else {
        panic!("expected yes");
    };
    assert_eq!(refused[0].number, 4);
    assert_eq!(refused[0].refusal.reason, Reason::ConstraintViolated);
    assert!(refused[0].refusal.detail.starts_with("CREDIT_LIMIT: é"));
    assert!(refused[0].refusal.detail.len() <= REFUSAL_DETAIL_BYTES_MAX);
}

#[test]
fn evidence_of_another_version_is_no_evidence() {
    for evidence in [0, 4, -1] {
        let answer = v1::CommitResponse {
            changes: 9,
            evidence,
            debts: Vec::new(),
        };
        assert_eq!(field(Committed::try_from(answer)), "evidence");
    }
}

#[test]
fn a_state_of_another_version_is_unclear() {
    let answer = |state| v1::InspectResponse {
        state,
        detail: "xid".into(),
        read_time: None,
    };
    let truth = BranchTruth::try_from(answer(9)).unwrap();
    assert_eq!(truth.state, BranchState::Unclear);
    assert!(truth.detail.contains("state 9"));
    assert_eq!(field(BranchTruth::try_from(answer(0))), "state");
}

#[test]
fn a_foreign_branch_keeps_its_text() {
    let answer = v1::ListPreparedResponse {
        branches: vec![v1::PreparedBranch {
            id: "not {tandem}'s".into(),
            tandem: false,
            prepare_time: None,
        }],
    };
    let branches = branches_from_wire(answer).unwrap();
    assert_eq!(branches[0].id, PreparedId::Foreign("not {tandem}'s".into()));
    let answer = v1::ListPreparedResponse {
        branches: vec![v1::PreparedBranch {
            id: "no".into(),
            tandem: true,
            prepare_time: None,
        }],
    };
    assert_eq!(field(branches_from_wire(answer)), "branches[0].id");
}

/// What a sidecar makes of the question how much was deducted of these.
fn asked_of(skus: &[&str]) -> Result<AuditQuestion, Error> {
    let asked = AuditQuestion::Deducted {
        coordinator: "shop".parse().unwrap(),
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
    };
    v1::ParticipantAuditRequest::from(&asked).try_into()
}

#[test]
fn counts_of_deductions_are_asked_for_by_stock() {
    for skus in [&["tea", "tea{paris}"][..], &[]] {
        let AuditQuestion::Deducted { skus: heard, .. } = asked_of(skus).unwrap() else {
            panic!("another question");
        };
        assert_eq!(heard, skus);
    }
    for wrong in ["", "tea{", "tea{a b}", "t ea"] {
        assert_eq!(
            field(asked_of(&["tea", wrong])),
            "deducted.skus[1]",
            "{wrong}"
        );
    }
}

#[test]
fn too_many_newest_commits_are_refused() {
    let answer = v1::EnlistResponse {
        changes: 7,
        incarnation: String::new(),
        newest_committed: vec!["shop.1.1".into(); Enlisted::NEWEST_COMMITTED_MAX + 1],
        refuses_singly: false,
    };
    assert_eq!(field(Enlisted::try_from(answer)), "newest_committed");
}

#[test]
fn times_come_back_to_the_millisecond() {
    for millis in [0, 1, 999, 1_700_000_000_123, u64::MAX] {
        let time = Timestamp(millis);
        let wire = timestamp_to_wire(time);
        assert_eq!(timestamp_from_wire("t", wire).unwrap(), time);
    }
}

/// The longest commit: every field of every purchase at its limit.
#[test]
fn the_longest_commit_fits_a_message_four_times() {
    let item = |n: usize| Item {
        sku: format!("{n:0>width$}", width = rules::SKU_BYTES_MAX),
        quantity: rules::QUANTITY_MAX,
        unit_price_minor: rules::UNIT_PRICE_MINOR_MAX,
        ..Default::default()
    };
    let purchase = std::sync::Arc::new(Purchase {
        purchase_id: "p".repeat(rules::PURCHASE_ID_BYTES_MAX),
        customer_id: "c".repeat(rules::CUSTOMER_ID_BYTES_MAX),
        currency: "EUR".into(),
        items: (0..rules::ITEMS_MAX).map(item).collect(),
        ..Default::default()
    });
    let entry = |n: usize| tandem_protocol::Entry {
        number: u32::MAX - u32::try_from(ENTRIES_MAX - n).unwrap(),
        purchase: purchase.clone(),
    };
    let longest_id = format!("{}.{}.{}", "a".repeat(20), u64::MAX, u64::MAX);
    let commit = Commit {
        transaction: longest_id.parse().unwrap(),
        caller_epoch: tandem_protocol::Epoch(u64::MAX),
        entries: (0..ENTRIES_MAX).map(entry).collect(),
        begin_time: Timestamp(u64::MAX),
        decide_time: Timestamp(u64::MAX),
    };
    let bytes = v1::CommitRequest::from(&commit).encoded_len();
    // 128 purchases of 100 items of 145 bytes each, their ids and numbers.
    assert!((1_800_000..1_900_000).contains(&bytes), "{bytes}");
    assert!(bytes * 4 <= MESSAGE_BYTES_MAX, "{bytes}");
}

#[test]
fn every_reason_comes_back_as_it_was() {
    let refused = |reason: &Reason| RefusedEntry {
        number: 0,
        refusal: Refusal {
            reason: *reason,
            detail: "as the store said".into(),
        },
    };
    let vote = Vote::Yes {
        refused: Reason::VARIANTS.iter().map(refused).collect(),
        incarnation: "life-1".into(),
    };
    let voted = Voted { vote, changes: 8 };
    assert_eq!(
        voted_from_wire(voted_to_wire(voted.clone())).unwrap(),
        voted
    );
}

/// What the proto tells whoever writes a participant is what a coordinator knows, no less and no more.
#[test]
fn proto_names_every_error_with_its_code() {
    let proto = include_str!("../../../../proto/tandem/v1/participant.proto");
    let (_, told) = proto.split_once("// Failures are a gRPC status").unwrap();
    let (_, told) = told.split_once('\n').unwrap();
    let mut named = BTreeMap::new();
    let mut code = "";
    for line in told.lines().map_while(|line| line.strip_prefix("//   ")) {
        let (of_code, text) = line.split_at(20);
        if !of_code.trim().is_empty() {
            code = of_code.trim();
        }
        let names = text.trim().split_once(':').map_or("", |(names, _)| names);
        for name in names.split(", ").filter(|name| is_upper_snake(name)) {
            named.insert(name, code.replace('_', "").to_lowercase());
        }
    }
    let kinds = ErrorKind::VARIANTS.iter().map(|kind| kind.as_ref());
    let kinds = kinds.filter(|name| *name != ErrorKind::Heuristic.as_ref());
    let heuristics = HeuristicKind::VARIANTS.iter().map(|kind| kind.as_ref());
    let known: BTreeMap<_, _> = kinds
        .chain(heuristics)
        .map(|name| (name, told_as(name)))
        .collect();
    assert_eq!(named, known);
}

fn is_upper_snake(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The code of the error of this name, which has to come back from the wire as it was.
fn told_as(name: &str) -> String {
    let details = ErrorDetails::with_error_info(name, ERROR_DOMAIN, HashMap::new());
    let status = Status::with_error_details(Code::Unknown, "as the store said", details);
    let again = Status::from(error_from_status(&status).expect("a known name"));
    let reason = again.get_details_error_info().expect("a reason").reason;
    assert_eq!(reason, name);
    format!("{:?}", again.code()).to_lowercase()
}
