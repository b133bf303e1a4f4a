//! The table: what is granted passes, and nothing else is seen by a service.

use strum::VariantArray;
use tokio::net::TcpStream;
use tonic::transport::Endpoint;

use super::*;
use crate::access::{Role, paths};

/// What a caller is granted: a role, none but to be known, or nothing at all.
#[derive(Debug, Clone, Copy)]
enum Is {
    Granted(Role),
    Named,
    /// It says who it is, and nobody has named it.
    Unnamed,
    Unknown,
}

const TOKEN_HOLDERS: [(&str, Is); 5] = [
    ("token-of-a-client", Is::Granted(Role::Client)),
    ("token-of-an-operator", Is::Granted(Role::Operator)),
    ("token-of-an-admin", Is::Granted(Role::OperatorAdmin)),
    ("token-of-the-shop", Is::Granted(Role::Participant)),
    ("token-of-a-probe", Is::Named),
];

/// What must be answered, written another way than the code decides it.
fn expected(is: Is, path: &str, of: Of) -> Code {
    let is_granted = match is {
        Is::Unknown => return Code::Unauthenticated,
        Is::Unnamed => return Code::PermissionDenied,
        _ if path.starts_with("/grpc.") => return Code::Ok,
        Is::Named => false,
        Is::Granted(Role::Client) => path.contains("PurchaseService"),
        Is::Granted(Role::Participant) => path.contains("ParticipantService"),
        Is::Granted(Role::OperatorAdmin) => path.contains("OperatorService"),
        Is::Granted(Role::Operator) => {
            let changes = ["/Retry", "/Repair", "/Settle"];
            path.contains("OperatorService") && !changes.iter().any(|verb| path.contains(verb))
        }
    };
    match (is_granted, path.starts_with(of.service())) {
        (false, _) => Code::PermissionDenied,
        (true, true) => Code::Ok,
        (true, false) => Code::Unimplemented,
    }
}

/// Makes every call, and gives how many should have reached the spy.
async fn check(channel: &Channel, token: Option<&str>, is: Is, of: Of, what: &str) -> usize {
    let mut reached = 0;
    for path in paths() {
        let expected = expected(is, &path, of);
        let answered = code(channel, &path, token).await;
        assert_eq!(answered, expected, "{path} at {of:?} by {what}, {is:?}");
        reached += usize::from(expected == Code::Ok && path.starts_with(of.service()));
    }
    reached
}

#[tokio::test]
async fn only_what_is_granted_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, stranger) = (Ca::new(), Ca::new());
    let (tls, access) = sections(folder.path(), &ca, &ca.issue("localhost"));
    let (gate, tls) = guard(Some(&tls), Some(&access)).unwrap();
    let certificates = [
        ("client.example", Is::Granted(Role::Client)),
        ("operator.example", Is::Granted(Role::Operator)),
        ("admin.example", Is::Granted(Role::OperatorAdmin)),
        ("shop.example", Is::Granted(Role::Participant)),
        ("nobody.example", Is::Unnamed),
    ];
    for of in Of::VARIANTS.iter().copied() {
        let encrypted = Stand::start(of, &gate, tls.as_ref()).await;
        let mut reached = 0;
        for (name, is) in certificates {
            let channel = ca
                .connect(encrypted.port, Some(&ca.issue(name)))
                .await
                .unwrap();
            reached += check(&channel, None, is, of, name).await;
            let wrong = code(&channel, &paths()[0], Some("no-token-of-theirs")).await;
            assert_eq!(wrong, Code::Unauthenticated, "{name}");
        }
        let without = ca.connect(encrypted.port, None).await.unwrap();
        reached += check(&without, None, Is::Unknown, of, "nobody").await;
        let plain = Stand::start(of, &gate, None).await;
        let url = format!("http://127.0.0.1:{}", plain.port);
        let in_plain = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        let mut reached_plain = check(&in_plain, None, Is::Unknown, of, "nobody").await;
        for (token, is) in TOKEN_HOLDERS {
            reached += check(&without, Some(token), is, of, token).await;
            reached_plain += check(&in_plain, Some(token), is, of, token).await;
        }
        // Neither a wrong certificate nor plain text comes as far as a call.
        for wrong in [
            ca.issue_expired("admin.example"),
            stranger.issue("admin.example"),
        ] {
            assert_gets_nothing(ca.connect(encrypted.port, Some(&wrong)).await).await;
        }
        assert_gets_nothing(stranger.connect(encrypted.port, None).await).await;
        let url = format!("http://127.0.0.1:{}", encrypted.port);
        assert_gets_nothing(Endpoint::from_shared(url).unwrap().connect().await).await;
        assert!(reached > 0, "{of:?}");
        assert_eq!(
            (encrypted.calls(), plain.calls()),
            (reached, reached_plain),
            "{of:?}"
        );
    }
}

/// A connection may seem to be there for a moment: with TLS 1.3 a client learns with its first reading that
/// its certificate was not taken.
async fn assert_gets_nothing(connected: Result<Channel, tonic::transport::Error>) {
    if let Ok(channel) = connected {
        let mut client = Grpc::new(channel);
        if client.ready().await.is_ok() {
            let codec = ProstCodec::<(), ()>::default();
            let path = "/grpc.health.v1.Health/Check".parse().unwrap();
            let answer = client.server_streaming(tonic::Request::new(()), path, codec);
            assert_eq!(answer.await.map(|_| ()).unwrap_err().code(), Code::Unknown);
        }
    }
}

#[tokio::test]
async fn without_access_everybody_may_do_everything() {
    let (gate, tls) = guard(None, None).unwrap();
    let stand = Stand::start(Of::Operators, &gate, tls.as_ref()).await;
    let url = format!("http://127.0.0.1:{}", stand.port);
    let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    for path in paths() {
        let is_served = path.starts_with("/grpc.") || path.starts_with(Of::Operators.service());
        let expected = if is_served {
            Code::Ok
        } else {
            Code::Unimplemented
        };
        assert_eq!(code(&channel, &path, None).await, expected, "{path}");
        assert_eq!(
            code(&channel, &path, Some("whatever")).await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn peer_that_is_slow_to_begin_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let (tls, access) = sections(folder.path(), &ca, &ca.issue("localhost"));
    let (gate, tls) = guard(Some(&tls), Some(&access)).unwrap();
    let stand = Stand::start(Of::Clients, &gate, tls.as_ref()).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(("127.0.0.1", stand.port)).await.unwrap());
    }
    let begun = std::time::Instant::now();
    let channel = ca.connect(stand.port, None).await.unwrap();
    let path = "/tandem.v1.PurchaseService/SubmitPurchase";
    assert_eq!(
        code(&channel, path, Some("token-of-a-client")).await,
        Code::Ok
    );
    assert!(begun.elapsed() < connections::FIRST_WORDS_MAX);
}
