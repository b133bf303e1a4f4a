//! Files that are exchanged while calls go on.

use super::*;

/// Longer than the files are looked at apart.
const EXCHANGED_MAX: Duration = Duration::from_secs(20);

const SUBMIT: &str = "/tandem.v1.PurchaseService/SubmitPurchase";

#[tokio::test]
async fn certificate_and_token_are_exchanged_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Ca::new(), Ca::new());
    let (tls, access) = sections(folder.path(), &old, &old.issue("localhost"));
    let (gate, tls) = guard(Some(&tls), Some(&access)).unwrap();
    let stand = Stand::start(Of::Clients, &gate, tls.as_ref()).await;
    let before = old.connect(stand.port, None).await.unwrap();
    assert_eq!(
        code(&before, SUBMIT, Some("token-of-a-client")).await,
        Code::Ok
    );

    let key_file = folder.path().join("key.pem");
    std::fs::write(&key_file, "no key").unwrap();
    let tokens = TOKENS.replace("token-of-a-client", "next-token-of-a-client");
    std::fs::write(folder.path().join("tokens.toml"), tokens).unwrap();
    let exchanged = async {
        while code(&before, SUBMIT, Some("next-token-of-a-client")).await != Code::Ok {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(EXCHANGED_MAX, exchanged)
        .await
        .unwrap();
    assert_eq!(
        code(&before, SUBMIT, Some("token-of-a-client")).await,
        Code::Unauthenticated
    );
    // A file that can't be used changes nothing.
    old.connect(stand.port, None).await.unwrap();

    new.issue("localhost").write(folder.path());
    let exchanged = async {
        while new.connect(stand.port, None).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(EXCHANGED_MAX, exchanged)
        .await
        .unwrap();
    assert!(old.connect(stand.port, None).await.is_err());
    // The connection that was there goes on.
    assert_eq!(
        code(&before, SUBMIT, Some("next-token-of-a-client")).await,
        Code::Ok
    );
}
