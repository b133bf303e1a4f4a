//! Purchases read back: what they hold, as long as that is remembered.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_proto::v1;
use tandem_tests::{Case, Client, Setup, World, purchase, until};
use tonic::Code;
use tonic_types::StatusExt;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(content_is_answered_before_and_after_a_restart on TWO),
    case!(content_of_what_is_in_flight_is_answered on ONE, with down),
    case!(forgotten_purchase_says_how_far_back_the_log_goes on ONE, with forgetful),
];

/// Nothing of the last minute is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(100);

/// Forgets a purchase as soon as there are five later ones.
fn forgetful() -> Setup {
    Setup {
        limits: "[retention]\npurchases_max = 5\n".into(),
        ..Setup::default()
    }
}

/// That a purchase's content is what was submitted.
async fn ensure_content(client: &Client, wanted: &v1::SubmitPurchaseRequest) -> Result<()> {
    let found = client.read(&wanted.purchase_id).await?;
    let content = found.content.clone().context("no content")?;
    ensure!(
        content.customer_id == wanted.customer_id
            && content.items == wanted.items
            && content.currency == wanted.currency,
        "{found:?}"
    );
    // What became of it is the same with and without.
    let basic = client.find(&wanted.purchase_id).await?;
    let without = v1::Purchase {
        content: None,
        ..found
    };
    ensure!(basic == without, "{basic:?} is not {without:?}");
    Ok(())
}

async fn content_is_answered_before_and_after_a_restart(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    world.stores.seed("cups", 5).await?;
    let wanted = purchase("p-1", &[("tea", 2), ("cups", 5)]);
    let unwanted = purchase("p-2", &[("tea", 20)]);
    let client = world.coordinator.client();
    let asked = [ask(&client, &wanted).await, ask(&client, &unwanted).await];
    ensure_committed(&asked[0])?;
    for life in 0..2 {
        let client = world.coordinator.client();
        ensure_content(&client, &wanted).await?;
        let refused = client.read("p-2").await?;
        ensure!(
            refused.state() == v1::PurchaseState::Refused && refused.content.is_none(),
            "{refused:?}"
        );
        if life == 0 {
            world.coordinator.kill9()?;
            world.start_again().await?;
        }
    }
    let told = json(world, &["purchase", "get", "p-1"])?;
    ensure!(told["content"]["items"][1]["sku"] == "cups", "{told}");
    let unknown = world.coordinator.client().read("p-3").await.unwrap_err();
    assert_reason(&unknown, Code::NotFound, "PURCHASE_NOT_FOUND");
    ensure!(
        unknown.message().contains("has forgotten nothing yet"),
        "{unknown:?}"
    );
    world.judge(&asked).await?;
    Ok(())
}

async fn content_of_what_is_in_flight_is_answered(world: &World) -> Result<()> {
    one_in_doubt(world).await?;
    world.stores.redis.kill9()?;
    world.coordinator.launch(&world.start.without_env())?;
    let client = world.coordinator.client();
    until("the coordinator answers", SOON, async || {
        Ok(client.find("p-1").await.is_ok())
    })
    .await?;
    let found = client.find("p-1").await?;
    ensure!(
        found.state() == v1::PurchaseState::Committed && !found.applied,
        "{found:?}"
    );
    ensure_content(&client, &purchase("p-1", &[("tea", 2)])).await?;
    world.stores.redis.restart()?;
    until("it is applied", SOON, async || {
        Ok(client.find("p-1").await?.applied)
    })
    .await?;
    ensure_content(&client, &purchase("p-1", &[("tea", 2)])).await
}

async fn forgotten_purchase_says_how_far_back_the_log_goes(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in 0..10 {
        asked.push(ask(&client, &purchase(&format!("p-{number}"), &[("tea", 1)])).await);
    }
    for life in 0..2 {
        let client = world.coordinator.client();
        // A start may remember again what was forgotten a moment before.
        until("the first is forgotten", FORGOTTEN, async || {
            let found = client.read("p-0").await;
            Ok(found.is_err_and(|status| status.code() == Code::NotFound))
        })
        .await?;
        let unknown = client.read("p-0").await.unwrap_err();
        let info = unknown.get_details_error_info().context("no ErrorInfo")?;
        let since = info.metadata.get("remembers_since");
        let since = since.with_context(|| format!("{unknown:?}"))?;
        ensure!(unknown.message().contains(since.as_str()), "{unknown:?}");
        // Whatever is remembered was not decided before; to the second.
        let found = json(world, &["purchase", "get", "p-9"])?;
        let decided = found["decide_time"].as_str().context("no time")?;
        ensure!(since[..19] <= decided[..19], "{since} {decided}");
        ensure_content(&client, &purchase("p-9", &[("tea", 1)])).await?;
        let shown = world.tandem(&["purchase", "get", "p-0"])?;
        let said = String::from_utf8_lossy(&shown.stderr).into_owned();
        ensure!(
            shown.status.code() == Some(1) && said.contains("as far as the log goes back"),
            "{said}"
        );
        if life == 0 {
            world.coordinator.kill9()?;
            world.start_again().await?;
        }
    }
    world.judge(&asked).await?;
    Ok(())
}
