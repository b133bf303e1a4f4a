//! `tandem purchase submit`.

use tandem_proto::v1::{Item, SubmitPurchaseRequest};
use tandem_protocol::sku_and_pool;

use super::connection::Server;
use super::content::Shown;
use super::{VerbFailure, purchase};

/// Arguments of `tandem purchase submit`. The server checks them; its answer names each field that
/// breaks a rule.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The purchase's id, chosen by you: the same id again never buys twice
    #[arg(long, value_name = "ID")]
    id: String,
    /// Who buys
    #[arg(long, value_name = "ID")]
    customer: String,
    /// What is bought: sku, units, price of one unit in the currency's minor unit (cents); repeat
    /// for more
    #[arg(long = "item", value_name = "SKU:QTY:PRICE_MINOR", required_unless_present = "untracked", value_parser = item)]
    items: Vec<Item>,
    /// The same of which there is no stock: shipping, gift wrap; a discount has a negative price
    #[arg(long = "untracked", value_name = "SKU:QTY:PRICE_MINOR", value_parser = item, allow_hyphen_values = true)]
    untracked: Vec<Item>,
    /// What else the order carries, as the configuration declares it; repeat for more
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// ISO 4217 code: EUR
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// What the answer waits for
    #[arg(long, value_enum, default_value_t)]
    wait_for: WaitFor,
    #[command(flatten)]
    server: Server,
}

/// What the answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum WaitFor {
    /// Both stores have carried it out
    #[default]
    Applied,
    /// The decision is durable; both stores will carry it out
    Decided,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        use tandem_proto::v1::WaitFor as Wire;
        let wait_for = match self.wait_for {
            WaitFor::Applied => Wire::Applied,
            WaitFor::Decided => Wire::Decided,
        };
        let untracked = self.untracked.into_iter().map(|item| Item {
            tracked: Some(false),
            ..item
        });
        let question = SubmitPurchaseRequest {
            purchase_id: self.id,
            customer_id: self.customer,
            items: self.items.into_iter().chain(untracked).collect(),
            attributes: self.attributes.into_iter().collect(),
            currency: self.currency,
            wait_for: wait_for as i32,
        };
        let answer = self
            .server
            .call(question, async |client, q| client.submit_purchase(q).await)
            .await?;
        purchase::tell(answer.purchase, self.server.common.output, Shown::default())
    }
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must be NAME=VALUE, as in cart=4711")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Split from the right, since a sku may hold colons.
fn item(text: &str) -> Result<Item, String> {
    let mut parts = text.rsplitn(3, ':');
    let (Some(price), Some(quantity), Some(sku)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err("must be SKU:QTY:PRICE_MINOR, as in lamp:2:1999".to_owned());
    };
    let (sku, pool) = sku_and_pool(sku);
    Ok(Item {
        sku: sku.to_owned(),
        pool: pool.to_owned(),
        quantity: quantity
            .parse()
            .map_err(|_| format!("quantity {quantity:?} must be a whole number, 1 to 1000000"))?,
        unit_price_minor: price
            .parse()
            .map_err(|_| format!("price {price:?} must be a whole number of minor units"))?,
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sku_may_hold_colons() {
        let expected = Item {
            sku: "garden:lamp".into(),
            quantity: 2,
            unit_price_minor: 1999,
            ..Default::default()
        };
        assert_eq!(item("garden:lamp:2:1999"), Ok(expected.clone()));
        let of_a_pool = Item {
            pool: "paris".into(),
            ..expected
        };
        assert_eq!(item("garden:lamp{paris}:2:1999"), Ok(of_a_pool));
    }

    #[test]
    fn malformed_item_is_explained() {
        for (text, told) in [
            ("lamp", "SKU:QTY:PRICE_MINOR"),
            ("lamp:2", "SKU:QTY:PRICE_MINOR"),
            ("lamp:two:1", "quantity \"two\""),
            ("lamp:2:19.99", "price \"19.99\""),
        ] {
            let error = item(text).expect_err(text);
            assert!(error.contains(told), "{error}");
        }
    }
}
