//! Both sides of the participant's service: requests as a sidecar reads them, answers as the
//! coordinator reads them. What is read, written again and read again is the same.

use tandem_participant::convert::{
    branches_from_wire, branches_to_wire, error_from_status, voted_from_wire, voted_to_wire,
};
use tandem_participant::{
    BranchState, BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Finding,
    Forget, HeuristicKind, Prepare, RollBack, Stock, Vote, Voted,
};
use tandem_proto::v1;
use tandem_protocol::Timestamp;
use tonic::{Code, Status};

use super::clients::fits;
use super::{bytes, few, fields, message, shape};
use crate::{Grammar, Target};

/// Longest refusal's detail, as the contract has it.
const DETAIL_BYTES_MAX: usize = 300;

pub(super) fn requests() -> Vec<Target> {
    vec![
        message_target(
            "enlist_request",
            || vec![bytes(&enlist())],
            |input| {
                round(
                    input,
                    |m: v1::EnlistRequest| Enlist::try_from(m),
                    |read| read.into(),
                    |_| String::new(),
                )
            },
        ),
        message_target(
            "prepare_request",
            || vec![bytes(&prepare())],
            |input| {
                let shape = |read: &Prepare| few(read.entries.len()).to_owned();
                round(
                    input,
                    |m: v1::PrepareRequest| Prepare::try_from(m),
                    |read| read.into(),
                    shape,
                )
            },
        ),
        message_target(
            "commit_request",
            || vec![bytes(&commit())],
            |input| {
                let shape = |read: &Commit| few(read.entries.len()).to_owned();
                round(
                    input,
                    |m: v1::CommitRequest| Commit::try_from(m),
                    |read| read.into(),
                    shape,
                )
            },
        ),
        message_target(
            "roll_back_request",
            || vec![bytes(&roll_back())],
            |input| {
                round(
                    input,
                    |m: v1::RollBackRequest| RollBack::try_from(m),
                    |read| read.into(),
                    |_| String::new(),
                )
            },
        ),
        message_target(
            "forget_request",
            || vec![bytes(&forget())],
            |input| {
                let shape = |read: &Forget| few(read.except.len()).to_owned();
                round(
                    input,
                    |m: v1::ForgetRequest| Forget::try_from(m),
                    |read| read.into(),
                    shape,
                )
            },
        ),
    ]
}

pub(super) fn answers() -> Vec<Target> {
    vec![
        message_target(
            "enlist_answer",
            || vec![bytes(&enlisted())],
            |input| {
                let shape = |read: &Enlisted| few(read.newest_committed.len()).to_owned();
                round(
                    input,
                    |m: v1::EnlistResponse| Enlisted::try_from(m),
                    |read| read.clone().into(),
                    shape,
                )
            },
        ),
        message_target(
            "prepare_answer",
            || vec![bytes(&yes()), bytes(&no())],
            |input| {
                round(
                    input,
                    voted_from_wire,
                    |read| voted_to_wire(read.clone()),
                    vote,
                )
            },
        ),
        message_target(
            "commit_answer",
            || vec![bytes(&committed())],
            |input| {
                let shape =
                    |read: &Committed| format!("{:?} {}", read.evidence, few(read.debts.len()));
                round(
                    input,
                    |m: v1::CommitResponse| Committed::try_from(m),
                    |read| read.clone().into(),
                    shape,
                )
            },
        ),
        message_target(
            "list_prepared_answer",
            || vec![bytes(&branches())],
            |input| {
                round(
                    input,
                    branches_from_wire,
                    |read| branches_to_wire(read.clone()),
                    |read| few(read.len()).to_owned(),
                )
            },
        ),
        message_target(
            "inspect_answer",
            || vec![bytes(&truth())],
            |input| {
                round(
                    input,
                    |m: v1::InspectResponse| BranchTruth::try_from(m),
                    |read| read.clone().into_wire(Timestamp(7)),
                    |read| format!("{:?}", read.state),
                )
            },
        ),
        message_target(
            "describe_answer",
            || vec![bytes(&description())],
            |input| {
                round(
                    input,
                    |m: v1::DescribeResponse| Ok(Description::from(m)),
                    |read| read.clone().into(),
                    |read| few(read.findings.len()).to_owned(),
                )
            },
        ),
        message_target(
            "get_stock_answer",
            || vec![bytes(&stock())],
            |input| {
                round(
                    input,
                    |m: v1::GetStockResponse| Stock::try_from(m),
                    |read| read.clone().into_wire("lamp".into()),
                    |read| format!("{} {}", read.value.is_some(), few(read.holds.len())),
                )
            },
        ),
        message_target("error_status", || vec![bytes(&description())], error),
        Target {
            name: "status_details",
            grammar: Grammar::Message,
            seeds: || {
                let errors = [
                    Error::Stuck {
                        detail: "restart the server".into(),
                    },
                    Error::Unsafe {
                        findings: Description::from(description()).findings,
                    },
                ];
                errors
                    .map(|error| Status::from(error).details().to_vec())
                    .into()
            },
            read: details,
        },
    ]
}

fn message_target(
    name: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    read: fn(&[u8]) -> String,
) -> Target {
    Target {
        name,
        grammar: Grammar::Message,
        seeds,
        read,
    }
}

/// Reads a message, writes what was read, and reads that: nothing changes any more.
fn round<M, T>(
    input: &[u8],
    read: impl Fn(M) -> Result<T, Error>,
    write: impl Fn(&T) -> M,
    shape: impl Fn(&T) -> String,
) -> String
where
    M: prost::Message + Default + Clone + PartialEq + std::fmt::Debug,
    T: PartialEq + std::fmt::Debug,
{
    message(input, |sent: M| match read(sent) {
        Ok(first) => {
            let written = write(&first);
            let decoded = M::decode(bytes(&written).as_slice()).expect("it was just written");
            assert!(decoded == written, "{written:?} is read as {decoded:?}");
            match read(written) {
                Ok(again) => assert_eq!(again, first),
                Err(error) => panic!("{first:?} is refused when it comes back: {error}"),
            }
            format!("read {}", shape(&first))
        }
        Err(Error::Invalid { detail }) => {
            let fields = fields(&detail);
            assert!(!fields.is_empty(), "{detail} names no field");
            fields
        }
        Err(other) => panic!("not an answer to a malformed message: {other:?}"),
    })
}

fn vote(voted: &Voted) -> String {
    match &voted.vote {
        Vote::Yes { refused, .. } => {
            assert!(
                refused
                    .iter()
                    .all(|r| r.refusal.detail.len() <= DETAIL_BYTES_MAX)
            );
            let reasons = refused.iter().map(|r| r.refusal.reason.as_ref());
            format!("yes {}", reasons.take(2).collect::<Vec<_>>().join(" "))
        }
        Vote::No { .. } => "no".to_owned(),
    }
}

/// A participant's error is the same kind of error at the coordinator.
fn error(input: &[u8]) -> String {
    message(input, |said: v1::DescribeResponse| {
        let detail = said.server.clone();
        let kind = match said.kind.len() % 3 {
            0 => HeuristicKind::RolledBack,
            1 => HeuristicKind::Committed,
            _ => HeuristicKind::Mixed,
        };
        let error = match said.address.len() % 7 {
            0 => Error::Unavailable { detail },
            1 => Error::Busy { detail },
            2 => Error::Stuck { detail },
            3 => Error::Fenced { detail },
            4 => Error::Invalid { detail },
            5 => Error::Heuristic { kind, detail },
            _ => Error::Unsafe {
                findings: Description::from(said).findings,
            },
        };
        let status = Status::from(error.clone());
        fits(&status);
        let back = error_from_status(&status).expect("it is tandem's own");
        assert_eq!(
            std::mem::discriminant(&back),
            std::mem::discriminant(&error)
        );
        let accepted = |findings: &[Finding]| findings.iter().filter(|f| f.accepted).count();
        match (&error, &back) {
            (Error::Heuristic { kind, .. }, Error::Heuristic { kind: found, .. }) => {
                assert_eq!(kind, found);
                format!("{kind:?}")
            }
            (Error::Unsafe { findings }, Error::Unsafe { findings: found }) => {
                assert!(accepted(found) <= accepted(findings));
                format!("unsafe, {} told", few(found.len()))
            }
            _ => format!("{:?}", status.code()),
        }
    })
}

/// Details that no participant of ours wrote.
fn details(input: &[u8]) -> String {
    let code = Code::from(i32::from(input.first().copied().unwrap_or_default() % 17));
    let status = Status::with_details(code, "words", input.to_vec().into());
    match error_from_status(&status) {
        Some(Error::Unsafe { findings }) => {
            assert!(!findings.is_empty(), "unsafe, and nothing is");
            format!("unsafe {}", few(findings.len()))
        }
        Some(error) => shape(&format!("{error:?}")),
        None => "another's".to_owned(),
    }
}

fn entry(number: u32) -> v1::Entry {
    let purchase = super::clients::purchase();
    v1::Entry {
        number,
        purchase_id: format!("p-{number}"),
        customer_id: purchase.customer_id,
        items: purchase.items,
        currency: purchase.currency,
        ..Default::default()
    }
}

fn enlist() -> v1::EnlistRequest {
    v1::EnlistRequest {
        coordinator_id: "shop".into(),
        log_id: "log-1".into(),
        epoch: 3,
        instance_id: "instance-1".into(),
        acknowledged: Some(acknowledged()),
    }
}

fn acknowledged() -> v1::Acknowledged {
    v1::Acknowledged {
        changes: 7,
        committed_transaction_ids: vec!["shop.3.1041".into()],
    }
}

fn prepare() -> v1::PrepareRequest {
    v1::PrepareRequest {
        transaction_id: "shop.3.1042".into(),
        entries: vec![entry(0), entry(2)],
        timeout: Some(prost_types::Duration {
            seconds: 5,
            nanos: 1,
        }),
        participants: vec!["purchases".into(), "stock".into()],
        incarnation: "life-1".into(),
        acknowledged: Some(acknowledged()),
        begin_time: Some(time()),
    }
}

fn commit() -> v1::CommitRequest {
    v1::CommitRequest {
        transaction_id: "shop.3.1042".into(),
        caller_epoch: 4,
        entries: vec![entry(0), entry(2)],
        decide_time: Some(time()),
        begin_time: Some(time()),
    }
}

fn roll_back() -> v1::RollBackRequest {
    v1::RollBackRequest {
        transaction_id: "shop.3.1042".into(),
        caller_epoch: 4,
    }
}

fn forget() -> v1::ForgetRequest {
    v1::ForgetRequest {
        coordinator_id: "shop".into(),
        caller_epoch: 4,
        before_transaction_id: "shop.3.1042".into(),
        except_transaction_ids: vec!["shop.3.7".into(), "shop.2.1".into()],
        closed_transaction_id: "shop.3.1050".into(),
    }
}

fn enlisted() -> v1::EnlistResponse {
    v1::EnlistResponse {
        incarnation: "life-1".into(),
        newest_committed: vec!["shop.3.1041".into(), "shop.3.1040".into()],
        refuses_singly: true,
        changes: 7,
    }
}

fn yes() -> v1::PrepareResponse {
    let refused = v1::RefusedEntry {
        number: 1,
        reason: "INSUFFICIENT_STOCK".into(),
        detail: "2 wanted, 1 available".into(),
    };
    v1::PrepareResponse {
        vote: Some(v1::prepare_response::Vote::Yes(v1::VoteYes {
            refused: vec![refused],
            incarnation: "life-1".into(),
            changes: 8,
        })),
    }
}

fn no() -> v1::PrepareResponse {
    let detail = "it was rolled back before".into();
    v1::PrepareResponse {
        vote: Some(v1::prepare_response::Vote::No(v1::VoteNo { detail })),
    }
}

fn committed() -> v1::CommitResponse {
    let debt = v1::Debt {
        sku: "lamp".into(),
        quantity: 2,
        detail: "only 0 were there".into(),
    };
    v1::CommitResponse {
        evidence: 1,
        debts: vec![debt],
        changes: 9,
    }
}

fn branches() -> v1::ListPreparedResponse {
    let branch = |id: &str, tandem| v1::PreparedBranch {
        id: id.into(),
        tandem,
        prepare_time: Some(time()),
    };
    v1::ListPreparedResponse {
        branches: vec![
            branch("shop.3.1042", true),
            branch("1:another:branch", false),
        ],
    }
}

fn truth() -> v1::InspectResponse {
    let state = BranchState::Prepared;
    let detail = "held since yesterday".into();
    BranchTruth { state, detail }.into_wire(Timestamp(1_700_000_000_123))
}

fn description() -> v1::DescribeResponse {
    let finding = |name: &str, accepted| v1::Finding {
        name: name.into(),
        detail: "mend it".into(),
        accepted,
        told: accepted,
    };
    v1::DescribeResponse {
        kind: "redis".into(),
        server: "Redis 7.0.15".into(),
        address: "10.0.0.5:6379".into(),
        incarnation: "life-1".into(),
        findings: vec![finding("NO_AOF", false), finding("EVICTION", true)],
    }
}

fn stock() -> v1::GetStockResponse {
    let hold = v1::Hold {
        transaction_id: "shop.3.1042".into(),
        quantity: 2,
        hold_time: Some(time()),
    };
    v1::GetStockResponse {
        sku: "lamp".into(),
        stock: Some(7),
        holds: vec![hold],
        detail: String::new(),
        debt: 0,
        debt_remedy: String::new(),
    }
}

fn time() -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: 1_700_000_000,
        nanos: 123_000_000,
    }
}
