//! A stranger at a sidecar, and a coordinator that speaks for another.

use std::fmt::Debug;

use memory_participant::{MemoryParticipant, MemoryStore};
use tandem_participant::{
    Credentials, Error, Look, Participant, ParticipantServer, RemoteParticipant, Timeouts,
};
use tandem_proto::v1;
use tandem_proto::v1::participant_service_client::ParticipantServiceClient;
use tonic::Response;

use super::*;

fn enlist(coordinator: &str) -> v1::EnlistRequest {
    v1::EnlistRequest {
        coordinator_id: coordinator.to_owned(),
        log_id: "log".to_owned(),
        epoch: 1_000_000,
        instance_id: "process".to_owned(),
        acknowledged: Some(v1::Acknowledged::default()),
    }
}

fn is<A: Debug>(expected: Code, what: &str, answer: Result<Response<A>, Status>) {
    let answered = answer.map_or_else(|status| status.code(), |_| Code::Ok);
    assert_eq!(answered, expected, "{what}");
}

/// All that would change a store, and what tells of it, as coordinator `id`.
async fn all_are(expected: Code, channel: &Channel, id: &str) {
    let mut client = ParticipantServiceClient::new(channel.clone());
    let transaction_id = format!("{id}.1000000.1");
    is(expected, "Enlist", client.enlist(enlist(id)).await);
    let look = v1::LookRequest {
        coordinator_id: id.to_owned(),
    };
    is(expected, "Look", client.look(look).await);
    let commit = v1::CommitRequest {
        transaction_id: transaction_id.clone(),
        caller_epoch: 1_000_000,
        ..commit_of_a_lamp()
    };
    is(expected, "Commit", client.commit(commit.clone()).await);
    is(expected, "Repair", client.repair(commit.clone()).await);
    let prepare = v1::PrepareRequest {
        transaction_id: transaction_id.clone(),
        entries: commit.entries,
        begin_time: commit.begin_time,
        timeout: Some(prost_types::Duration::default()),
        participants: vec!["stock".to_owned()],
        ..v1::PrepareRequest::default()
    };
    is(expected, "Prepare", client.prepare(prepare).await);
    let roll_back = v1::RollBackRequest {
        transaction_id: transaction_id.clone(),
        caller_epoch: 1_000_000,
    };
    is(expected, "RollBack", client.roll_back(roll_back).await);
    let inspect = v1::InspectRequest {
        transaction_id: transaction_id.clone(),
    };
    is(expected, "Inspect", client.inspect(inspect).await);
    let recall = v1::RecallRequest {
        coordinator_id: id.to_owned(),
        caller_epoch: 1_000_000,
        transaction_ids: vec![transaction_id.clone()],
    };
    is(expected, "Recall", client.recall(recall).await);
    let forget = v1::ForgetRequest {
        coordinator_id: id.to_owned(),
        before_transaction_id: transaction_id,
        caller_epoch: 1_000_000,
        ..v1::ForgetRequest::default()
    };
    is(expected, "Forget", client.forget(forget).await);
}

fn commit_of_a_lamp() -> v1::CommitRequest {
    let time = Some(prost_types::Timestamp {
        seconds: 1_772_366_400,
        nanos: 0,
    });
    v1::CommitRequest {
        entries: vec![v1::Entry {
            number: 1,
            purchase_id: "o-1".to_owned(),
            customer_id: "c-1".to_owned(),
            currency: "EUR".to_owned(),
            items: vec![v1::Item {
                sku: "lamp".to_owned(),
                quantity: 1_000,
                unit_price_minor: 1,
                ..v1::Item::default()
            }],
            ..v1::Entry::default()
        }],
        begin_time: time,
        decide_time: time,
        ..v1::CommitRequest::default()
    }
}

#[tokio::test]
async fn only_its_own_coordinator_reaches_a_sidecars_store() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let (tls, access) = sections(folder.path(), &ca, &ca.issue("localhost"));
    let (gate, tls) = guard(Some(&tls), Some(&access)).unwrap();
    let store = MemoryStore::new(None);
    let participant = Arc::new(MemoryParticipant::new(store));
    let service = ParticipantServer::new(participant.clone()).into_service();
    let port = serve(server(&gate).unwrap().add_service(service), tls.as_ref()).await;

    let stranger = ca.connect(port, None).await.unwrap();
    all_are(Code::Unauthenticated, &stranger, "shop").await;
    let client = ca.connect(port, Some(&ca.issue("client.example"))).await;
    all_are(Code::PermissionDenied, &client.unwrap(), "shop").await;
    let shop = ca
        .connect(port, Some(&ca.issue("shop.example")))
        .await
        .unwrap();
    all_are(Code::PermissionDenied, &shop, "other").await;
    for id in ["shop", "other"] {
        let coordinator = id.parse().unwrap();
        let looked = participant.look(&Look { coordinator }).await.unwrap();
        assert_eq!(
            (looked.known, looked.newest_committed),
            (None, Vec::new()),
            "{id}"
        );
    }
    assert!(participant.list_prepared().await.unwrap().is_empty());

    let mut client = ParticipantServiceClient::new(shop);
    is(Code::Ok, "Enlist", client.enlist(enlist("shop")).await);
    let coordinator = "shop".parse().unwrap();
    let looked = participant.look(&Look { coordinator }).await.unwrap();
    assert!(looked.known.is_some());
}

/// A coordinator's own way to a sidecar, by its certificate.
#[tokio::test]
async fn coordinator_is_served_while_certificates_are_exchanged_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Ca::new(), Ca::new());
    let (tls, access) = sections(folder.path(), &old, &old.issue("localhost"));
    let (gate, tls) = guard(Some(&tls), Some(&access)).unwrap();
    let participant = Arc::new(MemoryParticipant::new(MemoryStore::new(None)));
    let service = ParticipantServer::new(participant).into_service();
    let port = serve(server(&gate).unwrap().add_service(service), tls.as_ref()).await;
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let ca_file = own.join("ca.pem");
    std::fs::write(&ca_file, old.pem()).unwrap();
    let credentials = Credentials {
        ca_file: Some(ca_file.clone()),
        own: Some(old.issue("shop.example").write(&own)),
        token_file: None,
    };
    let to = |credentials: &Credentials| {
        let (name, at) = (
            "stock".parse().unwrap(),
            format!("https://localhost:{port}"),
        );
        RemoteParticipant::with_credentials(name, &at, Timeouts::default(), credentials)
    };
    let coordinator = to(&credentials).unwrap();
    let coordinator_id: tandem_protocol::CoordinatorId = "shop".parse().unwrap();
    let look = Look {
        coordinator: coordinator_id,
    };

    let load = async {
        let (mut asked, mut by_new) = (0, false);
        while !by_new {
            coordinator.look(&look).await.unwrap();
            asked += 1;
            // Who believes only the new CA, and shows what only it has signed, gets in at the end.
            by_new = asked % 50 == 0
                && new
                    .connect(port, Some(&new.issue("shop.example")))
                    .await
                    .is_ok();
        }
        asked
    };
    let exchange = async {
        // Both sides believe both CAs first; then each shows its new certificate.
        let both = old.pem() + &new.pem();
        std::fs::write(folder.path().join("ca.pem"), &both).unwrap();
        std::fs::write(&ca_file, &both).unwrap();
        let next = folder.path().join("next");
        std::fs::create_dir(&next).unwrap();
        let next = Credentials {
            own: Some(new.issue("shop.example").write(&next)),
            ..credentials.clone()
        };
        while to(&next).unwrap().look(&look).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        new.issue("localhost").write(folder.path());
        new.issue("shop.example").write(&own);
    };
    let (asked, ()) = tokio::join!(load, exchange);
    assert!(asked > 50, "{asked}");
    coordinator.look(&look).await.unwrap();

    // By a certificate that is not of a coordinator's it is refused, and that may pass.
    let client = Credentials {
        own: Some(new.issue("client.example").write(folder.path())),
        ..credentials.clone()
    };
    let refused = to(&client).unwrap().look(&look).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    let none = Credentials::default();
    assert!(matches!(to(&none), Err(Error::Invalid { .. })));
}
