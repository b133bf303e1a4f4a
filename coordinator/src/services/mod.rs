//! The gRPC services that clients and operators call.

mod operated;
mod operator;
mod owed;
mod page_token;
mod purchase;
mod purchase_filter;
mod purchase_list;
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
pub use purchase_list::{check_listing, page_token};
pub use settle::settlement;
pub use unread::named;
