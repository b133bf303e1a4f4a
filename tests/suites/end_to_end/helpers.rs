//! What several cases need.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_proto::v1;
use tandem_tests::{Answer, Asked, Client, PairName, Setup, World};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(crate) const EVERYWHERE: &[PairName] = &PairName::ALL;
pub(crate) const TWO: &[PairName] = &[PairName::Installed, PairName::MysqlRedis];
pub(crate) const ONE: &[PairName] = &[PairName::Installed];

/// How long something may take that is to happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A case named after its function.
macro_rules! case {
    ($name:ident on $pairs:expr) => {
        case!($name on $pairs, with tandem_tests::Setup::default)
    };
    ($name:ident on $pairs:expr, with $setup:expr) => {
        tandem_tests::Case {
            name: stringify!($name),
            pairs: $pairs,
            setup: $setup,
            body: |world| Box::pin($name(world)),
        }
    };
}
pub(crate) use case;

/// The case starts the coordinator itself.
pub(crate) fn down() -> Setup {
    Setup {
        coordinator_down: true,
        ..Setup::default()
    }
}

/// Submits and remembers what came back.
pub(crate) async fn ask(client: &Client, purchase: &v1::SubmitPurchaseRequest) -> Asked {
    let answer = Answer::of(&client.submit(purchase).await);
    Asked {
        purchase: purchase.clone(),
        answers: vec![answer],
    }
}

/// Submits in the background and remembers what came back.
pub(crate) fn ask_apart(
    client: &Client,
    purchase: &v1::SubmitPurchaseRequest,
) -> tokio::task::JoinHandle<Asked> {
    let (client, purchase) = (client.clone(), purchase.clone());
    tokio::spawn(async move { ask(&client, &purchase).await })
}

/// Submits again and again until the answer is final.
pub(crate) async fn ask_until_final(world: &World, asked: &mut Asked) -> Result<()> {
    let client = world.coordinator.client();
    tandem_tests::until("there is a final answer", SOON, async || {
        let answer = Answer::of(&client.submit(&asked.purchase).await);
        let is_final = answer.is_final();
        if asked.answers.last() != Some(&answer) {
            asked.answers.push(answer);
        }
        Ok(is_final)
    })
    .await
    .with_context(|| format!("{asked:?}"))
}

/// That a status has this code and this `ErrorInfo.reason` in tandem's domain.
#[track_caller]
pub(crate) fn assert_reason(status: &Status, code: Code, reason: &str) {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (code, reason),
        "{status:?}"
    );
    assert_eq!(info.domain, "tandem");
    assert!(info.metadata.contains_key("purchase_id"), "{info:?}");
}

/// That a status says when to try again.
#[track_caller]
pub(crate) fn assert_says_when_to_retry(status: &Status) {
    let retry = status.get_details_retry_info();
    let delay = retry.and_then(|retry| retry.retry_delay);
    assert!(
        delay.is_some_and(|delay| !delay.is_zero()),
        "no RetryInfo in {status:?}"
    );
}

/// That a purchase was committed.
pub(crate) fn ensure_committed(asked: &Asked) -> Result<()> {
    ensure!(
        matches!(asked.answers.last(), Some(Answer::Committed { .. })),
        "{asked:?}"
    );
    Ok(())
}

/// Runs a statement.
pub(crate) async fn sql(world: &World, statement: &str) -> Result<()> {
    let mut session = world.stores.sql().await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut session)
        .await
        .with_context(|| statement.to_owned())?;
    Ok(())
}

/// The first number of a query's one row.
pub(crate) async fn number(world: &World, query: &str) -> Result<i64> {
    let mut session = world.stores.sql().await?;
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()));
    Ok(query.fetch_one(&mut session).await?)
}
