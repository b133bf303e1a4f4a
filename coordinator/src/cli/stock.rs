//! `tandem stock SKU`.

use std::fmt::Write;

use tandem_proto::v1::{GetStockRequest, GetStockResponse};

use super::connection::Admin;
use super::output::{self, Output, clean};
use super::table::{table, width};
use super::{VerbFailure, json, time};

/// Arguments of `tandem stock`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is sold
    #[arg(value_name = "SKU")]
    sku: String,
    #[command(flatten)]
    admin: Admin,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let question = GetStockRequest { sku: self.sku };
        let answer = self
            .admin
            .call(question, async |client, q| client.get_stock(q).await)
            .await?;
        match self.admin.common.output {
            Output::Json => output::json(&json::stock(&answer)),
            Output::Table => output::data(&render(&answer, jiff::Timestamp::now(), width())),
        }
    }
}

fn render(answer: &GetStockResponse, now: jiff::Timestamp, width: Option<u16>) -> String {
    let held: u128 = answer
        .holds
        .iter()
        .map(|hold| u128::from(hold.quantity))
        .sum();
    let mut page = format!("{} (asked of the store now)\n", clean(&answer.sku));
    match answer.stock {
        Some(stock) => {
            let available = i128::from(stock) - i128::try_from(held).unwrap_or(i128::MAX);
            let _ = write!(
                page,
                "stock      {stock}\nheld       {held}\navailable  {available}"
            );
        }
        None => {
            let _ = write!(
                page,
                "stock      none: {}\nheld       {held}\navailable  none",
                clean(&answer.detail)
            );
        }
    }
    if answer.debt > 0 {
        let _ = write!(
            page,
            "\ndebt       {} (sold and not deducted, since there was no stock value to deduct \
             them from; put the stock right",
            answer.debt
        );
        if !answer.debt_remedy.is_empty() {
            let _ = write!(
                page,
                ", then tell the store so: {}",
                clean(&answer.debt_remedy)
            );
        }
        page.push(')');
    }
    if !answer.holds.is_empty() {
        let rows = answer.holds.iter().map(|hold| {
            [
                hold.transaction_id.clone(),
                hold.quantity.to_string(),
                time::both(hold.hold_time.as_ref(), now),
            ]
        });
        let holds = table(["HELD BY", "UNITS", "SINCE"], rows, width);
        let _ = write!(page, "\n\n{holds}");
    }
    page
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::Hold;

    use super::super::samples::{after, now};
    use super::*;

    #[test]
    fn available_is_stock_less_what_is_held() {
        let answer = GetStockResponse {
            sku: "lamp".into(),
            stock: Some(10),
            holds: vec![
                Hold {
                    transaction_id: "shop.3.1".into(),
                    quantity: 2,
                    hold_time: Some(after(-65)),
                },
                Hold {
                    transaction_id: "shop.3.2".into(),
                    quantity: 1,
                    hold_time: Some(after(0)),
                },
            ],
            ..GetStockResponse::default()
        };
        assert_eq!(
            render(&answer, now(), None),
            "\
lamp (asked of the store now)
stock      10
held       3
available  7

HELD BY   UNITS  SINCE
shop.3.1  2      2026-03-01T11:58:55.000Z (1m 5s ago)
shop.3.2  1      2026-03-01T12:00:00.000Z (0s ago)"
        );
    }

    #[test]
    fn missing_stock_value_is_explained_and_never_shown_as_zero() {
        let answer = GetStockResponse {
            sku: "lamp".into(),
            detail: "key stock:lamp does not exist".into(),
            debt: 4,
            ..GetStockResponse::default()
        };
        let page = render(&answer, now(), None);
        assert!(page.contains("stock      none: key stock:lamp does not exist"));
        assert!(page.contains("available  none"));
        assert!(page.contains("debt       4 (sold and not deducted"));
    }
}
