//! `tandem purchase list`.

use serde_json::{Value, json};
use tandem_proto::v1::{
    ListPurchasesRequest, ListPurchasesResponse, Purchase, PurchaseState, PurchaseView,
};

use super::connection::Admin;
use super::content::{self, Shown};
use super::names::word;
use super::output::{self, Output};
use super::table::{table, width};
use super::{VerbFailure, json, time};

/// Purchases of one call.
const PAGE_SIZE: usize = 1_000;

/// Arguments of `tandem purchase list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this customer's; what was refused has none
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    customer: String,
    /// Only those with a line of this sku; what was refused has none
    #[arg(
        long,
        value_name = "SKU",
        default_value = "",
        hide_default_value = true
    )]
    sku: String,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Decided from this moment on: 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<jiff::Timestamp>,
    /// Decided until this moment
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<jiff::Timestamp>,
    /// Show at most this many, 1 to 100000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max: u32,
    /// Go on where the list before has ended, with the same filter
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    page_token: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    admin: Admin,
}

/// States that the log remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    Committed,
    Refused,
    /// Committed, and not applied everywhere until a person has mended what `tandem tx show` tells
    NeedsOperator,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let listed = self.listed().await?;
        match self.admin.common.output {
            Output::Json => output::json(&document(&listed, self.shown))?,
            Output::Table if listed.purchases.is_empty() => {}
            Output::Table => {
                let now = jiff::Timestamp::now();
                output::data(&render(&listed, self.shown, now, width()))?;
            }
        }
        output::note(&footer(&listed));
        Ok(())
    }

    /// As many as are wanted, page by page: one with few or none has a next one all the same.
    async fn listed(&self) -> Result<ListPurchasesResponse, VerbFailure> {
        let connected = self.admin.connect().await?;
        let mut question = self.question();
        let mut listed = ListPurchasesResponse::default();
        loop {
            let left = (self.max as usize).saturating_sub(listed.purchases.len());
            question.page_size = u32::try_from(left.min(PAGE_SIZE)).unwrap_or_default();
            let page = connected
                .call(question.clone(), async |client, q| {
                    client.list_purchases(q).await
                })
                .await?;
            listed.purchases.extend(page.purchases);
            listed.remembers_since = page.remembers_since;
            question.page_token.clone_from(&page.next_page_token);
            listed.next_page_token = page.next_page_token;
            if listed.next_page_token.is_empty() || listed.purchases.len() >= self.max as usize {
                return Ok(listed);
            }
        }
    }

    fn question(&self) -> ListPurchasesRequest {
        let state = match self.state {
            Some(State::Committed) => PurchaseState::Committed,
            Some(State::Refused) => PurchaseState::Refused,
            Some(State::NeedsOperator) | None => PurchaseState::Unspecified,
        };
        ListPurchasesRequest {
            since: self.since.map(time::wire),
            until: self.until.map(time::wire),
            customer_id: self.customer.clone(),
            sku: self.sku.clone(),
            state: state.into(),
            needs_operator: self.state == Some(State::NeedsOperator),
            page_token: self.page_token.clone(),
            view: PurchaseView::Full.into(),
            ..ListPurchasesRequest::default()
        }
    }
}

fn document(listed: &ListPurchasesResponse, shown: Shown) -> Value {
    let purchases = listed.purchases.iter();
    let purchases = purchases.map(|one| json::purchase(one, shown));
    json!({
        "purchases": purchases.collect::<Vec<_>>(),
        "next_page_token": listed.next_page_token,
        "remembers_since": json::time(listed.remembers_since.as_ref()),
    })
}

fn render(
    listed: &ListPurchasesResponse,
    shown: Shown,
    now: jiff::Timestamp,
    width: Option<u16>,
) -> String {
    let header = [
        "PURCHASE",
        "STATE",
        "DECIDED",
        "AGE",
        "TRANSACTION",
        "CUSTOMER",
        "CURRENCY",
        "ITEMS (PRICE IN MINOR UNITS)",
        "ATTRIBUTES",
    ];
    let rows = listed.purchases.iter();
    table(header, rows.map(|one| row(one, shown, now)), width)
}

fn row(purchase: &Purchase, shown: Shown, now: jiff::Timestamp) -> [String; 9] {
    let decided = purchase.decide_time.as_ref();
    let content = match &purchase.content {
        Some(held) => [
            held.customer_id.clone(),
            held.currency.clone(),
            content::items(&held.items),
            shown.attributes(&held.attributes),
        ],
        None => Default::default(),
    };
    let [customer, currency, items, attributes] = content.map(time::or_none);
    [
        purchase.purchase_id.clone(),
        state(purchase),
        time::absolute(decided),
        time::relative(decided, now),
        purchase.transaction_id.clone(),
        customer,
        currency,
        items,
        attributes,
    ]
}

/// `committed`, and how far it is not applied; `refused`, and why.
fn state(purchase: &Purchase) -> String {
    let state = word::<PurchaseState>(purchase.state);
    match (&purchase.refusal, purchase.applied, purchase.needs_operator) {
        (Some(refusal), ..) => format!("{state} by {}: {}", refusal.participant, refusal.reason),
        (None, true, _) => state,
        (None, false, false) => format!("{state}, not applied everywhere yet"),
        (None, false, true) => format!("{state}, needs an operator"),
    }
}

fn footer(listed: &ListPurchasesResponse) -> String {
    let shown = match listed.purchases.len() {
        0 => "no such purchase".to_owned(),
        shown => format!("{shown} shown, newest first"),
    };
    let more = match listed.next_page_token.as_str() {
        "" => String::new(),
        token => format!("; older ones follow with --page-token {token}"),
    };
    let since = match &listed.remembers_since {
        Some(since) => format!("; the log goes back to {}", time::absolute(Some(since))),
        None => String::new(),
    };
    format!("{shown}{more}{since}")
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::{Item, PurchaseContent, Refusal};

    use super::super::samples::{after, now};
    use super::*;

    #[test]
    fn purchases_are_one_line_each() {
        let listed = ListPurchasesResponse {
            purchases: vec![
                Purchase {
                    purchase_id: "o-2".into(),
                    state: PurchaseState::Committed.into(),
                    transaction_id: "shop.3.1042".into(),
                    decide_time: Some(after(-2)),
                    needs_operator: true,
                    content: Some(PurchaseContent {
                        customer_id: "c-1".into(),
                        items: vec![Item {
                            sku: "lamp".into(),
                            quantity: 2,
                            unit_price_minor: 1999,
                            ..Item::default()
                        }],
                        currency: "EUR".into(),
                        attributes: [("email".into(), "ann@example.org".into())].into(),
                    }),
                    ..Purchase::default()
                },
                Purchase {
                    purchase_id: "o-1".into(),
                    state: PurchaseState::Refused.into(),
                    transaction_id: "shop.3.1041".into(),
                    decide_time: Some(after(-3)),
                    refusal: Some(Refusal {
                        reason: "INSUFFICIENT_STOCK".into(),
                        participant: "stock".into(),
                        detail: "1 available, 2 wanted".into(),
                    }),
                    ..Purchase::default()
                },
            ],
            next_page_token: "0a".into(),
            remembers_since: Some(after(-60)),
        };
        assert_eq!(
            render(&listed, Shown::default(), now(), None),
            "\
PURCHASE  STATE                                 DECIDED                   AGE     TRANSACTION  CUSTOMER  CURRENCY  ITEMS (PRICE IN MINOR UNITS)  ATTRIBUTES
o-2       committed, needs an operator          2026-03-01T11:59:58.000Z  2s ago  shop.3.1042  c-1       EUR       2 x lamp at 1999              email
o-1       refused by stock: INSUFFICIENT_STOCK  2026-03-01T11:59:57.000Z  3s ago  shop.3.1041  -         -         -                             -"
        );
        assert_eq!(
            footer(&listed),
            "2 shown, newest first; older ones follow with --page-token 0a; the log goes back to \
             2026-03-01T11:59:00.000Z"
        );
    }
}
