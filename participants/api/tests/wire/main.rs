//! The client and the server over a real socket: errors, deadlines, lost links, limits.

#![allow(clippy::unwrap_used)]

mod stage;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use stage::{
    PATIENCE, Scripted, Wire, commit, prepare, proxy, remote, roll_back, serve, within_patience,
};
use tandem_participant::{
    Error, Finding, HeuristicKind, Participant, RemoteParticipant, Timeouts, Vote, convert,
};
use tandem_proto::v1;
use tandem_proto::v1::participant_service_client::ParticipantServiceClient;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[tokio::test]
async fn every_error_comes_back_as_it_was() {
    let detail = || "what happened, in words: é".to_owned();
    let heuristic = |kind| Error::Heuristic {
        kind,
        detail: detail(),
    };
    let finding = |name: &str, accepted| Finding {
        name: name.into(),
        detail: format!("how to mend {name}"),
        accepted,
        told: false,
    };
    let findings = vec![finding("NO_AOF", false), finding("REPLICA", true)];
    let table = [
        (
            Error::Unavailable { detail: detail() },
            Code::Unavailable,
            "STORE_UNAVAILABLE",
        ),
        (Error::Busy { detail: detail() }, Code::Aborted, "BUSY"),
        (
            Error::Stuck { detail: detail() },
            Code::FailedPrecondition,
            "STUCK",
        ),
        (
            heuristic(HeuristicKind::RolledBack),
            Code::FailedPrecondition,
            "HEURISTIC_ROLLBACK",
        ),
        (
            heuristic(HeuristicKind::Committed),
            Code::FailedPrecondition,
            "HEURISTIC_COMMIT",
        ),
        (
            heuristic(HeuristicKind::Mixed),
            Code::FailedPrecondition,
            "HEURISTIC_MIXED",
        ),
        (
            Error::Fenced { detail: detail() },
            Code::FailedPrecondition,
            "FENCED",
        ),
        (
            Error::Unsafe { findings },
            Code::FailedPrecondition,
            "UNSAFE",
        ),
        (
            Error::Invalid { detail: detail() },
            Code::InvalidArgument,
            "INVALID",
        ),
    ];
    for (error, code, reason) in table {
        let status = Status::from(error.clone());
        assert_eq!(status.code(), code, "{error:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            (reason, "tandem")
        );

        let wire = Wire::serve(Scripted::failing(error.clone())).await;
        let remote = wire.remote(Timeouts::default());
        let answer = remote.commit(&commit()).await.unwrap_err();
        assert_eq!(format!("{answer:?}"), format!("{error:?}"));
    }
}

#[tokio::test]
async fn an_error_too_long_for_a_header_is_cut_not_lost() {
    let finding = |n: usize| Finding {
        name: format!("FINDING_{n}"),
        detail: "é".repeat(4000),
        accepted: n.is_multiple_of(2),
        told: false,
    };
    let findings = (0..40).map(finding).collect();
    let long = [
        Error::Unsafe { findings },
        Error::Stuck {
            detail: "€".repeat(50_000),
        },
    ];
    for error in long {
        let wire = Wire::serve(Scripted::failing(error.clone())).await;
        let answer = wire.remote(Timeouts::default()).commit(&commit()).await;
        match answer.unwrap_err() {
            Error::Unsafe { findings } => {
                assert!(findings.len() > 10 && findings.iter().all(|f| !f.accepted));
                assert!(findings[0].detail.starts_with("éé"));
            }
            Error::Stuck { detail } => assert!(detail.starts_with("€€") && detail.len() > 500),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_malformed_request_names_its_field() {
    let wire = Wire::serve(Scripted::default()).await;
    let channel = Endpoint::from_shared(wire.endpoint())
        .unwrap()
        .connect_lazy();
    let mut client = ParticipantServiceClient::new(channel);
    let request = v1::PrepareRequest {
        transaction_id: "shop.1.1".into(),
        entries: vec![v1::Entry::default()],
        timeout: Some(prost_types::Duration::default()),
        ..v1::PrepareRequest::default()
    };
    let status = client.prepare(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status
            .message()
            .starts_with("entries[0].purchase_id: must be")
    );
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "INVALID");
    let inspect = v1::InspectRequest {
        transaction_id: "shop".into(),
    };
    let status = client.inspect(inspect).await.unwrap_err();
    assert!(status.message().starts_with("transaction_id: "), "{status}");
    let stock = v1::GetStockRequest { sku: "a b".into() };
    let status = client.get_stock(stock).await.unwrap_err();
    assert!(status.message().starts_with("sku: "), "{status}");
    assert_eq!(wire.scripted.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_vote_on_what_was_not_asked_breaks_the_contract() {
    let wire = Wire::serve(Scripted {
        refuses: Some(7),
        ..Scripted::default()
    })
    .await;
    let remote = wire.remote(Timeouts::default());
    let answer = remote.prepare(&prepare(1)).await;
    let Err(Error::Invalid { detail }) = answer else {
        panic!("{answer:?}");
    };
    assert!(detail.contains("refused[0].number: 7"), "{detail}");
    assert!(detail.contains(&wire.endpoint()), "{detail}");
}

#[tokio::test]
async fn a_store_without_stock_says_none() {
    let wire = Wire::serve(Scripted::default()).await;
    let stock = wire.remote(Timeouts::default()).stock("sku").await;
    assert_eq!(stock.unwrap(), None);
}

#[tokio::test]
async fn the_largest_transaction_passes() {
    let wire = Wire::serve(Scripted::default()).await;
    let remote = wire.remote(Timeouts::default());
    let voted = remote
        .prepare(&prepare(convert::ENTRIES_MAX))
        .await
        .unwrap();
    // The scripted participant says how many entries it was given.
    assert_eq!(
        voted.vote,
        Vote::No {
            detail: "128 entries, 12800 items".into()
        }
    );
}

#[tokio::test]
async fn a_lost_server_is_unavailable_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let remote = remote(&socket, Timeouts::default());
    let answer = remote.commit(&commit()).await;
    let Err(Error::Unavailable { detail }) = answer else {
        panic!("{answer:?}");
    };
    assert!(detail.contains("did not answer Commit"), "{detail}");
    assert!(
        detail.contains(&format!("unix:{}", socket.display())),
        "{detail}"
    );
    assert!(detail.contains("No such file"), "{detail}");

    let server = serve(Arc::new(Scripted::default()), &socket);
    remote.roll_back(&roll_back()).await.unwrap();
    server.abort();
    let _ = server.await;
    std::fs::remove_file(&socket).unwrap();
    let _server = serve(Arc::new(Scripted::default()), &socket);
    within_patience(|| async { remote.roll_back(&roll_back()).await.is_ok() }).await;
}

#[tokio::test]
async fn a_refused_connection_names_its_endpoint() {
    // Bound and dropped again: nobody listens there.
    let port = {
        let mut ports = 21_000..32_768;
        let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
        ports.find(free).unwrap()
    };
    let endpoint = format!("http://127.0.0.1:{port}");
    let name = "redis".parse().unwrap();
    let remote = RemoteParticipant::new(name, &endpoint, Timeouts::default()).unwrap();
    let answer = remote.describe().await;
    let Err(Error::Unavailable { detail }) = answer else {
        panic!("{answer:?}");
    };
    assert!(detail.contains(&endpoint), "{detail}");
    assert!(detail.contains("participant redis"), "{detail}");
    assert!(detail.contains("refused"), "{detail}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    // Connections are made by the kernel and never accepted.
    let _listener = UnixListener::bind(&socket).unwrap();
    let timeouts = Timeouts {
        call: Duration::from_millis(200),
        prepare_transit: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let remote = remote(&socket, timeouts);
    let started = Instant::now();
    let answer = remote.roll_back(&roll_back()).await;
    let Err(Error::Unavailable { detail }) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        detail.ends_with("did not answer RollBack within 200ms"),
        "{detail}"
    );
    let answer = remote.prepare(&prepare(1)).await;
    assert!(
        matches!(answer, Err(Error::Unavailable { .. })),
        "{answer:?}"
    );
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_participant_that_is_too_slow_is_given_up_and_ends_all_the_same() {
    let wire = Wire::serve(Scripted {
        gate: Some(Semaphore::new(0)),
        ..Scripted::default()
    })
    .await;
    let remote = wire.remote(Timeouts {
        call: Duration::from_millis(100),
        ..Timeouts::default()
    });
    let answer = remote.commit(&commit()).await;
    let Err(Error::Unavailable { detail }) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        detail.ends_with("did not answer Commit within 100ms"),
        "{detail}"
    );
    assert_eq!(wire.scripted.ended.load(Ordering::SeqCst), 0);
    wire.scripted.let_one_on();
    within_patience(|| async { wire.scripted.ended.load(Ordering::SeqCst) == 1 }).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing() {
    let wire = Wire::serve(Scripted {
        gate: Some(Semaphore::new(0)),
        ..Scripted::default()
    })
    .await;
    let remote = wire.remote(Timeouts::default());
    let call = tokio::spawn(async move { remote.commit(&commit()).await });
    within_patience(|| async { wire.scripted.begun.load(Ordering::SeqCst) == 1 }).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    // Long enough for the server to hear of it; what it makes of it is what is tested.
    assert!(!wire.server.drain(Duration::from_millis(100)).await);
    wire.scripted.let_one_on();
    assert!(wire.server.drain(PATIENCE).await);
    assert_eq!(wire.scripted.ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_participant_that_panics_leaves_the_outcome_unknown() {
    let wire = Wire::serve(Scripted {
        panics: true,
        ..Scripted::default()
    })
    .await;
    let answer = wire.remote(Timeouts::default()).commit(&commit()).await;
    let Err(Error::Unavailable { detail }) = answer else {
        panic!("{answer:?}");
    };
    assert!(detail.contains("outcome is unknown"), "{detail}");
}

#[tokio::test]
async fn a_half_open_link_is_noticed_and_replaced() {
    let wire = Wire::serve(Scripted::default()).await;
    let socket = wire.folder.path().join("proxy");
    let (freeze, frozen) = watch::channel(false);
    let proxy = tokio::spawn(proxy(
        UnixListener::bind(&socket).unwrap(),
        wire.socket(),
        frozen,
    ));
    let remote = remote(
        &socket,
        Timeouts {
            call: PATIENCE,
            keepalive_interval: Duration::from_millis(500),
            keepalive_answer: Duration::from_millis(500),
            ..Timeouts::default()
        },
    );
    remote.roll_back(&roll_back()).await.unwrap();
    freeze.send(true).unwrap();
    // The proxy may pass a call on before it sees that it is frozen; the next hangs for sure.
    let mut started = Instant::now();
    let answer = loop {
        let answer = remote.roll_back(&roll_back()).await;
        if answer.is_err() {
            break answer;
        }
        started = Instant::now();
    };
    assert!(
        matches!(answer, Err(Error::Unavailable { .. })),
        "{answer:?}"
    );
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
    // Links made from now on pass; the frozen one stays frozen.
    freeze.send(false).unwrap();
    within_patience(|| async { remote.roll_back(&roll_back()).await.is_ok() }).await;
    proxy.abort();
}

#[tokio::test]
async fn an_endpoint_of_another_kind_is_refused() {
    for bad in [
        "",
        "127.0.0.1:7000",
        "https://a:1",
        "unix:",
        "http://",
        "http://a b",
    ] {
        let name = "redis".parse().unwrap();
        let result = RemoteParticipant::new(name, bad, Timeouts::default());
        let Err(Error::Invalid { detail }) = result else {
            panic!("{bad:?}: {result:?}");
        };
        assert!(detail.contains("participant redis"), "{detail}");
    }
}
