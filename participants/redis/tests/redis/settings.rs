//! The server's settings are looked at before anything is entrusted to it.

use tandem_participant::{Error, Participant};

use crate::stage::{enlist, on_each_server};

#[tokio::test]
async fn unsafe_settings_are_refused_by_name_until_accepted() {
    on_each_server(async |stage| {
        assert_eq!(stage.findings().await, Vec::<String>::new());
        let () = stage.cli("CONFIG SET appendfsync everysec").await;
        assert_eq!(stage.findings().await, ["APPENDFSYNC_NOT_ALWAYS"]);
        let () = stage.cli("CONFIG SET appendonly no").await;
        let () = stage.cli("CONFIG SET maxmemory-policy allkeys-lru").await;
        assert_eq!(
            stage.findings().await,
            ["NO_AOF", "APPENDFSYNC_NOT_ALWAYS", "EVICTION"]
        );
        let tolerant = stage.participant(|settings| {
            settings.accept = ["NO_AOF", "APPENDFSYNC_NOT_ALWAYS", "EVICTION"]
                .map(str::to_owned)
                .to_vec();
        });
        tolerant
            .enlist(&enlist("shop", "log-a", 1, "i"))
            .await
            .unwrap();
        let description = tolerant.describe().await.unwrap();
        assert_eq!(description.findings.len(), 3);
        assert!(description.findings.iter().all(|finding| finding.accepted));
    })
    .await;
}

#[tokio::test]
async fn a_replica_is_refused_and_takes_no_writes() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        let () = stage.cli("REPLICAOF 127.0.0.1 1").await;
        assert_eq!(stage.findings().await, ["REPLICA"]);
        let prepare = crate::stage::prepare("shop.1.1", &[&[("tea", 1)]]);
        let error = stage
            .participant
            .prepare(&prepare)
            .await
            .map(|voted| voted.vote)
            .unwrap_err();
        assert!(error.to_string().contains("primary"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn what_the_user_may_not_see_is_a_finding_and_the_work_goes_on_when_accepted() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:tea 5").await;
        let () = stage
            .cli("ACL SETUSER clerk on >pw ~* +@all -@admin -@dangerous")
            .await;
        let port = stage.server.port();
        let clerk = stage.participant(|settings| {
            settings.url = format!("redis://clerk:pw@127.0.0.1:{port}/").into();
        });
        let refused = clerk.enlist(&enlist("shop", "log-a", 1, "i")).await;
        let Err(Error::Unsafe { findings }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(findings[0].name, "SETTINGS_UNREADABLE");
        assert!(
            findings[0].detail.contains("INFO"),
            "{}",
            findings[0].detail
        );

        let trusting = stage.participant(|settings| {
            settings.url = format!("redis://clerk:pw@127.0.0.1:{port}/").into();
            settings.accept = vec!["SETTINGS_UNREADABLE".into()];
        });
        trusting
            .enlist(&enlist("shop", "log-a", 1, "i"))
            .await
            .unwrap();
        let carts: &[&[(&str, u32)]] = &[&[("tea", 1)]];
        trusting
            .prepare(&crate::stage::prepare("shop.1.1", carts))
            .await
            .unwrap();
        trusting
            .commit(&crate::stage::commit("shop.1.1", carts))
            .await
            .unwrap();
        assert_eq!(stage.value_and_held("tea").await, (4, 0));
    })
    .await;
}

#[tokio::test]
async fn the_description_names_product_version_and_place_without_password() {
    on_each_server(async |stage| {
        let () = stage.cli("CONFIG SET requirepass hunter2").await;
        let port = stage.server.port();
        let participant = stage.participant(|settings| {
            settings.url = format!("redis://:hunter2@127.0.0.1:{port}/").into();
        });
        let description = participant.describe().await.unwrap();
        let version = &stage.server.binary().version;
        assert!(
            description.server.ends_with(version.as_str()),
            "{description:?}"
        );
        let flavor = format!("{:?}", stage.server.binary().flavor);
        assert!(description.server.starts_with(&flavor), "{description:?}");
        assert_eq!(description.address, format!("127.0.0.1:{port}"));
        assert!(description.incarnation.parse::<u64>().is_ok());
        assert!(!format!("{description:?} {participant:?}").contains("hunter2"));
    })
    .await;
}

#[tokio::test]
async fn a_server_without_tls_is_unavailable_over_tls() {
    on_each_server(async |stage| {
        let port = stage.server.port();
        let participant = stage.participant(|settings| {
            settings.url = format!("rediss://127.0.0.1:{port}/").into();
        });
        let error = participant.describe().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    })
    .await;
}
