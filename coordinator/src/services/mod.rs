//! The gRPC services that clients and operators call.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod operator;
mod owed;
mod purchase;
mod repair;
mod settle;
mod status;
mod stock;
mod timeline;
mod unread;
mod validate;

pub use operator::Operator;
pub use purchase::Purchases;
pub use unread::named;
