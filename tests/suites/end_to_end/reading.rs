//! Purchases read back: what they hold, as long as that is remembered.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::Row;
use tandem_proto::v1;
use tandem_tests::{Case, Client, Setup, World, purchase, until};
use tonic::Code;
use tonic_types::StatusExt;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(content_is_answered_before_and_after_a_restart on TWO),
    case!(content_of_what_is_in_flight_is_answered on ONE, with down),
    case!(purchases_are_listed_across_a_restart on TWO),
    case!(purchase_that_needs_an_operator_is_listed_as_such on ONE, with down),
    case!(branch_as_xa_recover_lists_it_is_shown_with_its_purchases on TWO, with down),
    case!(ended_transaction_is_shown_with_its_purchases on ONE),
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

/// A client of the coordinator, started again while Redis is dead and a purchase is in doubt.
async fn with_redis_dead(world: &World) -> Result<Client> {
    world.stores.redis.kill9()?;
    world.coordinator.launch(&world.start.without_env())?;
    let client = world.coordinator.client();
    until("the coordinator answers", SOON, async || {
        Ok(client.find("p-1").await.is_ok())
    })
    .await?;
    Ok(client)
}

async fn content_of_what_is_in_flight_is_answered(world: &World) -> Result<()> {
    one_in_doubt(world).await?;
    let client = with_redis_dead(world).await?;
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

async fn purchases_are_listed_across_a_restart(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    world.stores.seed("cups", 100).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in 0..7 {
        let sku = ["tea", "cups"][number % 2];
        asked.push(ask(&client, &purchase(&format!("p-{number}"), &[(sku, 1)])).await);
    }
    let refused = ask(&client, &purchase("p-7", &[("tea", 1_000)])).await;
    let ids = |page: &v1::ListPurchasesResponse| -> Vec<String> {
        let each = page.purchases.iter();
        each.map(|one| one.purchase_id.clone()).collect()
    };
    let mut request = v1::ListPurchasesRequest {
        page_size: 3,
        ..Default::default()
    };
    let first = world
        .coordinator
        .operator()
        .purchases(request.clone())
        .await?;
    ensure!(ids(&first) == ["p-7", "p-6", "p-5"], "{first:?}");
    world.coordinator.kill9()?;
    world.start_again().await?;
    let operator = world.coordinator.operator();
    let mut seen = Vec::new();
    request.page_token = first.next_page_token;
    while !request.page_token.is_empty() {
        let page = operator.purchases(request.clone()).await?;
        seen.extend(ids(&page));
        request.page_token = page.next_page_token;
    }
    ensure!(seen == ["p-4", "p-3", "p-2", "p-1", "p-0"], "{seen:?}");

    // Each is listed as it is found by its id.
    let client = world.coordinator.client();
    let full = v1::ListPurchasesRequest {
        view: v1::PurchaseView::Full.into(),
        ..Default::default()
    };
    let listed = operator.purchases(full).await?.purchases;
    ensure!(listed.len() == 8, "{listed:?}");
    for one in &listed {
        let found = client.read(&one.purchase_id).await?;
        ensure!(found == *one, "{found:?} is not {one:?}");
    }
    let arguments = [
        "purchase",
        "list",
        "--sku",
        "cups",
        "--customer",
        "ann@example.org",
    ];
    let cups = json(
        world,
        &[&arguments[..], &["--since", "2020-01-01T00:00:00Z"]].concat(),
    )?;
    let cups = cups["purchases"].as_array().context("no purchases")?;
    ensure!(
        cups.len() == 3 && cups[0]["purchase_id"] == "p-5",
        "{cups:?}"
    );
    let told = tandem(world, &["purchase", "list", "--state", "refused"])?;
    ensure!(
        told.lines().count() == 2 && told.contains("refused by stock: INSUFFICIENT_STOCK"),
        "{told}"
    );
    asked.push(refused);
    world.judge(&asked).await?;
    Ok(())
}

async fn purchase_that_needs_an_operator_is_listed_as_such(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    roll_back_by_hand(world, &id).await?;
    world.start_again().await?;
    heuristic(world, &id).await?;
    let client = world.coordinator.client();
    ask(&client, &purchase("p-2", &[("tea", 1)])).await;
    let needed = v1::ListPurchasesRequest {
        needs_operator: true,
        view: v1::PurchaseView::Full.into(),
        ..Default::default()
    };
    let listed = world.coordinator.operator().purchases(needed).await?;
    ensure!(listed.purchases.len() == 1, "{listed:?}");
    ensure!(
        listed.purchases[0] == client.read("p-1").await?,
        "{listed:?}"
    );
    let told = tandem(world, &["purchase", "list", "--state", "needs-operator"])?;
    ensure!(told.contains("committed, needs an operator"), "{told}");
    Ok(())
}

/// What each form of XA RECOVER that the server knows shows of the one branch there is.
async fn branch_as_listed(world: &World) -> Result<Vec<String>> {
    let mut session = world.stores.sql().await?;
    let mut listed = Vec::new();
    for statement in [
        "XA RECOVER",
        "XA RECOVER CONVERT XID",
        "XA RECOVER FORMAT='SQL'",
    ] {
        let Ok(rows) = sqlx::raw_sql(statement).fetch_all(&mut session).await else {
            continue;
        };
        for row in rows {
            let data: Vec<u8> = row.try_get_unchecked("data")?;
            listed.push(String::from_utf8(data)?);
        }
    }
    ensure!(listed.len() == 2, "{listed:?}");
    Ok(listed)
}

async fn branch_as_xa_recover_lists_it_is_shown_with_its_purchases(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    let mut forms = branch_as_listed(world).await?;
    forms.push(format!("'{id}','purchases',1952542308"));
    forms.push(format!("{id}/stock"));
    let client = with_redis_dead(world).await?;
    for is_ended in [false, true] {
        for form in &forms {
            println!("{form}");
            let shown = json(world, &["tx", "show", form])?;
            ensure!(shown["transaction_id"] == id.as_str(), "{form}: {shown}");
            ensure!(
                shown["entries"][0]["purchase_id"] == "p-1",
                "{form}: {shown}"
            );
            let state = &shown["transaction"]["state"];
            ensure!(
                (state == "TRANSACTION_STATE_COMMITTED") == is_ended,
                "{shown}"
            );
        }
        if !is_ended {
            world.stores.redis.restart()?;
            until("it has ended", SOON, async || {
                Ok(client.find("p-1").await?.applied)
            })
            .await?;
        }
    }
    let unknown = world.tandem(&["tx", "show", "nothing"])?;
    ensure!(unknown.status.code() == Some(2), "{unknown:?}");
    Ok(())
}

async fn ended_transaction_is_shown_with_its_purchases(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let made = client.submit(&purchase("p-1", &[("tea", 2)])).await?;
    ask(&client, &purchase("p-2", &[("tea", 20)])).await;
    let refused = client.find("p-2").await?;
    for life in 0..2 {
        let shown = tandem(world, &["tx", "show", &made.transaction_id])?;
        ensure!(
            shown.contains("purchases  1\n") && shown.contains("2 x tea at 1"),
            "{shown}"
        );
        let shown = tandem(world, &["tx", "show", &refused.transaction_id])?;
        ensure!(
            shown.contains("purchases  0, 1 refused") && shown.contains("p-2       stock"),
            "{shown}"
        );
        if life == 0 {
            world.coordinator.kill9()?;
            world.start_again().await?;
        }
    }
    Ok(())
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
        let listed = json(world, &["purchase", "list"])?;
        let ids = listed["purchases"].as_array().context("no purchases")?;
        ensure!(
            ids[0]["purchase_id"] == "p-9" && ids.iter().all(|one| one["purchase_id"] != "p-0"),
            "{listed}"
        );
        ensure!(listed["remembers_since"].is_string(), "{listed}");
        if life == 0 {
            world.coordinator.kill9()?;
            world.start_again().await?;
        }
    }
    world.judge(&asked).await?;
    Ok(())
}
