//! On what a world of chaos stands: its servers' settings and where the shop keeps what.

use std::ffi::OsString;

use crate::stores::StockPlace;

/// What a world is opened with.
#[derive(Debug, Clone, Default)]
pub(super) struct Ground {
    pub(super) mysql_args: Vec<OsString>,
    pub(super) redis_args: Vec<OsString>,
    /// Appended to the settings of the participant at Redis.
    pub(super) redis_settings: String,
    pub(super) stock: StockPlace,
    /// Whether the build under test is one that counts nothing.
    pub(super) is_older: bool,
    /// Of the rights of the participant's user at Redis, as `ACL SETUSER` takes it.
    pub(super) forbidden: Option<&'static str>,
}
