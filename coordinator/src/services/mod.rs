//! The gRPC services that clients and operators call.

mod operator;
mod purchase;
mod status;
mod timeline;
mod validate;

pub use operator::Operator;
pub use purchase::Purchases;

use prost_types::Timestamp as WireTime;
use tandem_protocol::Timestamp;

/// A timestamp as the wire has it.
fn wire_time(time: Timestamp) -> WireTime {
    WireTime {
        seconds: i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.0 % 1_000 * 1_000_000).unwrap_or_default(),
    }
}
