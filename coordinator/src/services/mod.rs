//! The gRPC services that clients and operators call.

mod operator;
mod purchase;
mod repair;
mod status;
mod stock;
mod timeline;
mod validate;

pub use operator::Operator;
pub use purchase::Purchases;
