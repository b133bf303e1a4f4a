//! The gRPC services that clients and operators call.

mod operated;
mod operator;
mod owed;
mod purchase;
mod read_back;
mod repair;
mod settle;
pub mod status;
mod stock;
mod timeline;
mod unread;
pub mod validate;

pub use operated::{Operator, transaction_id};
pub use purchase::{Purchases, grpc_timeout};
pub use settle::settlement;
pub use unread::named;
