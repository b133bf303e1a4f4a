//! Requests that break rules: the field is named and nothing is written.

use anyhow::{Result, ensure};
use tandem_proto::v1::{Item, SubmitPurchaseRequest};
use tandem_tests::{Case, World, purchase};
use tonic::Code;
use tonic_types::StatusExt;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(broken_rule_names_its_field_and_writes_nothing on ONE),
    case!(message_that_is_too_long_is_refused on ONE),
];

type Break = fn(&mut SubmitPurchaseRequest);

const BREAKS: &[(&str, Break)] = &[
    ("purchase_id", |r| r.purchase_id.clear()),
    ("purchase_id", |r| r.purchase_id = "p".repeat(65)),
    ("purchase_id", |r| r.purchase_id = "p 1".into()),
    ("purchase_id", |r| r.purchase_id = "p'; DROP TABLE".into()),
    ("customer_id", |r| r.customer_id.clear()),
    ("customer_id", |r| r.customer_id = "c".repeat(65)),
    ("customer_id", |r| r.customer_id = "ann\u{0}".into()),
    ("currency", |r| r.currency.clear()),
    ("currency", |r| r.currency = "eur".into()),
    ("currency", |r| r.currency = "QQQ".into()),
    ("wait_for", |r| r.wait_for = 9),
    ("items", |r| r.items.clear()),
    ("items", |r| {
        r.items = (0..101).map(|n| item(&format!("s{n}"), 1, 1)).collect();
    }),
    ("items[0].sku", |r| r.items[0].sku.clear()),
    ("items[0].sku", |r| r.items[0].sku = "s".repeat(129)),
    ("items[0].sku", |r| r.items[0].sku = "a{b}".into()),
    ("items[0].sku", |r| r.items[0].sku = "a\tb".into()),
    ("items[1].sku", |r| r.items.push(item("tea", 1, 1))),
    ("items[0].quantity", |r| r.items[0].quantity = 0),
    ("items[0].quantity", |r| r.items[0].quantity = 1_000_001),
    ("items[0].unit_price_minor", |r| {
        r.items[0].unit_price_minor = -1;
    }),
    ("items[0].unit_price_minor", |r| {
        r.items[0].unit_price_minor = i64::MAX;
    }),
    ("items", |r| {
        r.items = vec![item("tea", 1_000_000, 1_000_000_000_000)];
    }),
];

fn item(sku: &str, quantity: u32, unit_price_minor: i64) -> Item {
    Item {
        sku: sku.to_owned(),
        quantity,
        unit_price_minor,
        ..Default::default()
    }
}

async fn broken_rule_names_its_field_and_writes_nothing(world: &World) -> Result<()> {
    world.stores.seed("tea", 2_000_000).await?;
    let client = world.coordinator.client();
    for (number, (field, break_it)) in BREAKS.iter().enumerate() {
        let mut wanted = purchase(&format!("p-{number}"), &[("tea", 1)]);
        break_it(&mut wanted);
        let status = client.submit(&wanted).await.unwrap_err();
        ensure!(
            status.code() == Code::InvalidArgument,
            "{field}: {status:?}"
        );
        let broken = status.get_details_bad_request().unwrap().field_violations;
        let named = broken.iter().find(|broken| broken.field == *field);
        let named = named.unwrap_or_else(|| panic!("{field} is not in {broken:?}"));
        ensure!(!named.description.is_empty());
        ensure!(status.message().contains(field), "{status:?}");
        ensure!(
            client.find(&format!("p-{number}")).await.is_err(),
            "{field}: the purchase is known"
        );
    }
    world.nothing_written().await
}

async fn message_that_is_too_long_is_refused(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let mut wanted = purchase("p-1", &[("tea", 1)]);
    wanted.customer_id = "c".repeat(8 * 1024 * 1024);
    let status = client.submit(&wanted).await.unwrap_err();
    let told = status.get_details_error_info().map(|info| info.reason);
    ensure!(
        (status.code(), told.as_deref()) == (Code::InvalidArgument, Some("MESSAGE_TOO_LONG")),
        "{status:?}"
    );
    world.nothing_written().await?;
    // The service is none the worse for it.
    let made = ask(&client, &purchase("p-2", &[("tea", 1)])).await;
    ensure_committed(&made)?;
    world.judge(&[made]).await?;
    Ok(())
}
