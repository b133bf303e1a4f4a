//! What participants say of one sku's stock, as one answer.

use tandem_participant::{Error, Stock};
use tandem_proto::v1;
use tandem_protocol::ParticipantName;
use tonic::Status;

use super::status;
use crate::error_reason::ErrorReason;

/// What one participant said: its stock, `None` where it keeps none, or why it said nothing.
pub(super) type Said = (ParticipantName, Result<Option<Stock>, Error>);

/// The first participant's stock that keeps any. Where none does, one that could not be asked may
/// be the one that would have.
pub(super) fn answer(sku: &str, said: Vec<Said>) -> Result<v1::GetStockResponse, Status> {
    let mut failure = None;
    for (participant, said) in said {
        match said {
            Ok(Some(stock)) => return Ok(stock.into_wire(sku.to_owned())),
            Ok(None) => {}
            Err(error) => {
                failure.get_or_insert((participant, error));
            }
        }
    }
    let metadata = status::one("sku", sku);
    Err(match failure {
        Some((participant, error)) => {
            let mut metadata = metadata;
            metadata.insert("participant".into(), participant.to_string());
            status::error(
                ErrorReason::StoreUnavailable,
                format!("the stock of {sku} is not known now: {participant}: {error}"),
                metadata,
                None,
            )
        }
        None => status::error(
            ErrorReason::NoStockKeeper,
            "no participant of this coordinator keeps stock",
            metadata,
            None,
        ),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    fn said(name: &str, said: Result<Option<Stock>, Error>) -> Said {
        (name.parse().unwrap(), said)
    }

    fn units(value: i64) -> Result<Option<Stock>, Error> {
        Ok(Some(Stock {
            value: Some(value),
            holds: Vec::new(),
            debt: 0,
            debt_remedy: String::new(),
            detail: String::new(),
        }))
    }

    fn down() -> Result<Option<Stock>, Error> {
        let detail = "connection refused".into();
        Err(Error::Unavailable { detail })
    }

    fn reason(status: &Status) -> String {
        let details = status.get_error_details();
        details.error_info().unwrap().reason.clone()
    }

    #[test]
    fn stock_is_told_while_another_participant_is_down() {
        let all = vec![said("a", down()), said("b", Ok(None)), said("c", units(7))];
        let answer = answer("lamp", all).unwrap();
        assert_eq!((answer.sku.as_str(), answer.stock), ("lamp", Some(7)));
    }

    #[test]
    fn participant_that_may_keep_the_stock_is_named_when_it_is_down() {
        let status = answer("lamp", vec![said("a", Ok(None)), said("b", down())]).unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(reason(&status), "STORE_UNAVAILABLE");
        assert_eq!(
            status.message(),
            "the stock of lamp is not known now: b: connection refused"
        );
    }

    #[test]
    fn nobody_keeps_stock() {
        let status = answer("lamp", vec![said("a", Ok(None))]).unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason(&status), "NO_STOCK_KEEPER");
    }
}
