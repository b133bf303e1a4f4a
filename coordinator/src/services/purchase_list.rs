//! The purchases that the log remembers, newest first: a page, and where the next one begins.
//!
//! The core says which transactions it remembers, without their purchases; those are read back from the log
//! a few at a time. A call looks at so much and no more: a filter that little matches answers a page with
//! few purchases or none, and a token.

use std::time::Duration;

use futures::future::join_all;
use prost::Message;
use tandem_participant::convert::timestamp_to_wire as wire_time;
use tandem_proto::v1;
use tandem_protocol::{CoordinatorId, OutcomesPage, RememberedOutcome, TransactionId};
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::operated::Operator;
use super::page_token::Place;
use super::purchase_filter::Filter;
use super::{read_back, status};
use crate::daemon::READS_MAX;

/// Purchases of one page, where the request does not say, and at most.
const PAGE_SIZE: usize = 100;
const PAGE_SIZE_MAX: usize = 1_000;

/// Bytes of purchases in one answer, of which gRPC libraries take 4 MiB unless they are told otherwise.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Pages of the core's history that one call looks at.
const HISTORY_PAGES_MAX: usize = 16;

/// Records that one call reads back.
const RECORDS_MAX: usize = 512;

/// Longest wait for the log in one call.
const READ_MAX: Duration = Duration::from_secs(10);

/// One call's work.
struct Listing<'a> {
    operator: &'a Operator,
    filter: Filter,
    page_size: usize,
    /// Where to look next; `None` at the newest.
    place: Option<Place>,
    purchases: Vec<v1::Purchase>,
    bytes: usize,
    records: usize,
    deadline: Instant,
}

/// Whether a call goes on looking.
#[derive(PartialEq, Eq)]
enum Goes {
    On,
    NoFurther,
}

/// One page.
pub(super) async fn answer(
    operator: &Operator,
    request: &v1::ListPurchasesRequest,
) -> Result<v1::ListPurchasesResponse, Status> {
    let (filter, place) = read(request, &operator.identity.coordinator)?;
    let page_size = match usize::try_from(request.page_size).unwrap_or(PAGE_SIZE_MAX) {
        0 => PAGE_SIZE,
        size => size.min(PAGE_SIZE_MAX),
    };
    let mut listing = Listing {
        operator,
        filter,
        page_size,
        place,
        purchases: Vec::new(),
        bytes: 0,
        records: 0,
        deadline: Instant::now() + READ_MAX,
    };
    let is_more = listing.run().await?;
    let since = operator.ask(|core| core.remembers_since()).await?;
    let next = listing.place.filter(|_| is_more);
    Ok(v1::ListPurchasesResponse {
        purchases: listing.purchases,
        next_page_token: next.map(|place| place.token(request)).unwrap_or_default(),
        remembers_since: since.map(wire_time),
    })
}

/// What a request wants, and where it goes on; the error names what breaks which rule.
fn read(
    request: &v1::ListPurchasesRequest,
    coordinator: &CoordinatorId,
) -> Result<(Filter, Option<Place>), Status> {
    let filter = Filter::read(request).map_err(status::invalid)?;
    let place = Place::read(request, coordinator);
    let place = place.map_err(|broken| status::invalid(vec![broken]))?;
    Ok((filter, place))
}

/// Checks a request for a list of purchases; the error names what breaks which rule.
pub fn check_listing(
    request: &v1::ListPurchasesRequest,
    coordinator: &CoordinatorId,
) -> Result<(), Status> {
    read(request, coordinator).map(drop)
}

/// The token with which a request goes on at a transaction.
pub fn page_token(request: &v1::ListPurchasesRequest, transaction: &TransactionId) -> String {
    Place::at(transaction.clone()).token(request)
}

impl Listing<'_> {
    /// Fills the page; gives whether there may be more.
    async fn run(&mut self) -> Result<bool, Status> {
        for _ in 0..HISTORY_PAGES_MAX {
            let OutcomesPage { outcomes, next } = self.outcomes().await?;
            for part in outcomes.chunks(READS_MAX) {
                if self.records + part.len() > RECORDS_MAX
                    || self.take(part).await? == Goes::NoFurther
                {
                    return Ok(true);
                }
            }
            let Some(next) = next else {
                return Ok(false);
            };
            self.place = Some(Place::at(next));
        }
        Ok(true)
    }

    /// Transactions from the place on, by the core.
    async fn outcomes(&self) -> Result<OutcomesPage, Status> {
        let wanted = self.filter.outcomes.clone();
        let up_to = self.place.as_ref().map(|place| place.transaction.clone());
        let page = self
            .operator
            .ask(move |core| core.outcomes(&wanted, up_to.as_ref()));
        page.await
    }

    /// Takes what matches of these transactions.
    async fn take(&mut self, part: &[RememberedOutcome]) -> Result<Goes, Status> {
        let read = part.iter().map(|outcome| self.operator.purchases(outcome));
        let read = join_all(read);
        let Ok(read) = timeout_at(self.deadline, read).await else {
            // What was found so far is answered; the next call goes on from there.
            return match self.records {
                0 => Err(read_back::too_late(Default::default())),
                _ => Ok(Goes::NoFurther),
            };
        };
        self.records += part.len();
        for (outcome, purchases) in part.iter().zip(read) {
            let id = &outcome.transaction;
            let begin = self.place.as_ref().map_or(0, |place| place.seen_of(id));
            let purchases = purchases?;
            for (index, purchase) in purchases.into_iter().enumerate().skip(begin) {
                if self.filter.matches(&purchase) && self.put(purchase) == Goes::NoFurther {
                    self.place = Some(Place::within(id, index));
                    return Ok(Goes::NoFurther);
                }
            }
            self.place = Some(Place::behind(id));
        }
        Ok(Goes::On)
    }

    /// Puts a purchase on the page, if there is room.
    fn put(&mut self, mut purchase: v1::Purchase) -> Goes {
        if !self.filter.is_full {
            purchase.content = None;
        }
        let bytes = purchase.encoded_len();
        let is_first = self.purchases.is_empty();
        let has_room =
            self.purchases.len() < self.page_size && self.bytes + bytes <= PAGE_BYTES_MAX;
        if !is_first && !has_room {
            return Goes::NoFurther;
        }
        self.bytes += bytes;
        self.purchases.push(purchase);
        Goes::On
    }
}
