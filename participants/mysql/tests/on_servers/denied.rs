//! Servers that do not let tandem in any more.

use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use tandem_mysql::MysqlParticipant;
use tandem_participant::{Error, Participant};
use tokio::task::JoinSet;

use crate::stand::{Stand, ask, commit, enlist, entries, prepared, sql, tx, until};

/// An account of the check's own, which three wrong passwords in a row lock.
struct Account {
    name: String,
    root: MySqlConnection,
}

impl Account {
    async fn new(stand: &Stand) -> Account {
        let mut root = stand.root().await;
        let name = format!("u{}", stand.name.trim_start_matches("t-"));
        let limit = match stand.world.is_mysql() {
            true => "FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 1",
            false => "",
        };
        if !stand.world.is_mysql() {
            sql(&mut root, "SET GLOBAL max_password_errors = 3").await;
        }
        let create = format!(
            "CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'right' {limit}; GRANT ALL ON *.* TO \
             {name}@'127.0.0.1'"
        );
        sql(&mut root, &create).await;
        Account { name, root }
    }

    fn url(&self, stand: &Stand, password: &str) -> String {
        let (name, port) = (&self.name, stand.server.port());
        format!("mysql://{name}:{password}@127.0.0.1:{port}/{}", stand.name)
    }

    fn participant(&self, stand: &Stand, password: &str) -> MysqlParticipant {
        let mut settings = stand.settings();
        settings.url = self.url(stand, password).into();
        stand.with(settings)
    }

    async fn change(&mut self, password: &str) {
        let name = &self.name;
        let change = format!("ALTER USER {name}@'127.0.0.1' IDENTIFIED BY '{password}'");
        sql(&mut self.root, &change).await;
    }

    /// The app comes in with the right password.
    async fn is_open(&self, stand: &Stand, password: &str) -> bool {
        let url: MySqlConnectOptions = self.url(stand, password).parse().unwrap();
        url.connect().await.is_ok()
    }
}

fn denied<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::Unavailable { detail }) => {
            assert!(
                detail.contains("error 1045") || detail.contains("1045"),
                "{detail}"
            );
            assert!(detail.contains("mend the account"), "{detail}");
            assert!(!detail.contains("wrong"), "no secret: {detail}");
        }
        answer => panic!("{answer:?}"),
    }
}

/// As the daemon does it: a probe every few hundred milliseconds, and what else asks.
pub(crate) async fn a_wrong_password_does_not_lock_the_account(stand: Stand) {
    let account = Account::new(&stand).await;
    let participant = Arc::new(account.participant(&stand, "wrong"));
    for _ in 0..12 {
        let mut asked = JoinSet::new();
        for _ in 0..4 {
            let participant = Arc::clone(&participant);
            asked.spawn(async move { denied(participant.enlist(&enlist(1)).await) });
        }
        denied(participant.describe().await);
        while let Some(ended) = asked.join_next().await {
            ended.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(account.is_open(&stand, "right").await);
    let mended = account.participant(&stand, "right");
    mended.enlist(&enlist(1)).await.unwrap();
}

/// The sessions that are there serve on; when they are gone, many prepares at once try once.
pub(crate) async fn a_password_that_is_changed_is_named_and_the_account_not_locked(stand: Stand) {
    let mut account = Account::new(&stand).await;
    let participant = Arc::new(account.participant(&stand, "right"));
    participant.enlist(&enlist(1)).await.unwrap();
    prepared(&participant, &tx(1), &["a"]).await;
    account.change("other").await;

    let found = participant.describe().await.unwrap().findings;
    let finding = found
        .iter()
        .find(|finding| finding.name == "ACCESS_DENIED")
        .unwrap();
    assert!(finding.detail.contains("1045"), "{finding:?}");
    commit(&participant, &tx(1), &["a"]).await.unwrap();
    prepared(&participant, &tx(2), &["b"]).await;
    commit(&participant, &tx(2), &["b"]).await.unwrap();

    for id in stand.connections().await {
        sql(&mut account.root, &format!("KILL {id}")).await;
    }
    until("its connections have gone", || async {
        stand.connections().await.is_empty()
    })
    .await;
    let mut all = JoinSet::new();
    for n in 10..20 {
        let participant = Arc::clone(&participant);
        all.spawn(async move {
            let id = format!("p{n}");
            let vote = participant.prepare(&ask(&tx(n), entries(&[&id]))).await;
            assert!(matches!(vote, Err(Error::Unavailable { .. })), "{vote:?}");
        });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
    denied(participant.enlist(&enlist(1)).await);
    assert!(account.is_open(&stand, "other").await);

    // A person has it tried at once, once more each time.
    denied(participant.reconnect().await);
    account.change("right").await;
    denied(participant.enlist(&enlist(1)).await);
    participant.reconnect().await.unwrap();
    participant.enlist(&enlist(1)).await.unwrap();
    let found = participant.describe().await.unwrap().findings;
    assert!(!found.iter().any(|finding| finding.name == "ACCESS_DENIED"));
}
