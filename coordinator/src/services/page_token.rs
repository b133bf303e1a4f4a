//! Where a list goes on: the token between two pages.
//!
//! A token is the request that it continues, with the place in the field of the token, in hexadecimal. So it
//! holds for that filter alone and whatever process answers it, and there is nothing to remember for it.

use prost::Message;
use tandem_proto::v1;
use tandem_protocol::{CoordinatorId, TransactionId};
use tonic_types::FieldViolation;

use crate::hex;

/// A place in the list of purchases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Where to look next, and then at what is older.
    pub(super) transaction: TransactionId,
    /// How many of its purchases were looked at.
    seen: usize,
}

/// Of how many of a transaction's purchases nothing is left.
const ALL: usize = u32::MAX as usize;

impl Place {
    /// Before all of a transaction's purchases.
    pub(super) fn at(transaction: TransactionId) -> Place {
        let seen = 0;
        Place { transaction, seen }
    }

    /// Before the purchase of this index.
    pub(super) fn within(transaction: &TransactionId, seen: usize) -> Place {
        let transaction = transaction.clone();
        Place { transaction, seen }
    }

    /// Behind all of a transaction's purchases.
    pub(super) fn behind(transaction: &TransactionId) -> Place {
        Place::within(transaction, ALL)
    }

    /// How many purchases of a transaction were looked at.
    pub(super) fn seen_of(&self, transaction: &TransactionId) -> usize {
        match self.transaction == *transaction {
            true => self.seen,
            false => 0,
        }
    }

    /// The place that a request's token names, if it has one; the error names the field.
    pub(super) fn read(
        request: &v1::ListPurchasesRequest,
        coordinator: &CoordinatorId,
    ) -> Result<Option<Place>, FieldViolation> {
        if request.page_token.is_empty() {
            return Ok(None);
        }
        let broken = |rule: &str| FieldViolation::new("page_token", rule);
        let unknown = || broken("is none that this coordinator gave");
        let continued = hex::bytes(&request.page_token).ok_or_else(unknown)?;
        let continued =
            v1::ListPurchasesRequest::decode(continued.as_slice()).map_err(|_| unknown())?;
        let (transaction, seen) = continued.page_token.split_once('/').ok_or_else(unknown)?;
        let place = Place {
            transaction: transaction.parse().map_err(|_| unknown())?,
            seen: seen.parse::<u32>().map_err(|_| unknown())? as usize,
        };
        if place.transaction.coordinator != *coordinator {
            return Err(unknown());
        }
        if filter(&continued) != filter(request) {
            return Err(broken("is of another filter: begin without it"));
        }
        Ok(Some(place))
    }

    /// The token that continues a request here.
    pub(super) fn token(&self, request: &v1::ListPurchasesRequest) -> String {
        let continued = v1::ListPurchasesRequest {
            page_token: format!("{}/{}", self.transaction, self.seen),
            ..filter(request)
        };
        hex::digits(&continued.encode_to_vec())
    }
}

/// What has to stay the same from page to page.
fn filter(request: &v1::ListPurchasesRequest) -> v1::ListPurchasesRequest {
    v1::ListPurchasesRequest {
        page_token: String::new(),
        page_size: 0,
        view: 0,
        ..request.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(page_token: &str) -> v1::ListPurchasesRequest {
        v1::ListPurchasesRequest {
            customer_id: "ann".into(),
            page_size: 7,
            page_token: page_token.into(),
            ..Default::default()
        }
    }

    fn read(request: &v1::ListPurchasesRequest) -> Result<Option<Place>, String> {
        let read = Place::read(request, &"shop".parse().unwrap());
        read.map_err(|broken| format!("{}: {}", broken.field, broken.description))
    }

    #[test]
    fn token_leads_back_to_its_place_whatever_the_size_of_the_page() {
        assert_eq!(read(&request("")), Ok(None));
        for place in [
            Place::at("shop.3.1042".parse().unwrap()),
            Place::within(&"shop.3.1042".parse().unwrap(), 5),
            Place::behind(&"shop.3.1042".parse().unwrap()),
        ] {
            let mut next = request(&place.token(&request("")));
            next.page_size = 1;
            next.view = v1::PurchaseView::Full.into();
            assert_eq!(read(&next), Ok(Some(place)));
        }
    }

    #[test]
    fn token_of_another_filter_is_refused() {
        let place = Place::at("shop.3.1042".parse().unwrap());
        let mut next = request(&place.token(&request("")));
        next.customer_id = "bob".into();
        let refused = "page_token: is of another filter: begin without it";
        assert_eq!(read(&next), Err(refused.into()));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let other = Place::at("other.3.1042".parse().unwrap()).token(&request(""));
        let good = Place::at("shop.3.1042".parse().unwrap()).token(&request(""));
        let cut = &good[..good.len() - 1];
        let nothing = "page_token: is none that this coordinator gave";
        for bad in ["x", "é", "00", "0a", cut, &good[2..], &other] {
            assert_eq!(read(&request(bad)), Err(nothing.into()), "{bad}");
        }
    }
}
