//! Where the app keeps its stock, with what it does there by itself.

use redis::Cmd;
use tandem_redis::Settings;

/// Each place that the settings know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `stock:{sku}`
    Keys,
    /// The fields of `stock`.
    Hash,
    /// The field `stock` of `product:{sku}`.
    Products,
}

pub(crate) const PLACES: [Place; 3] = [Place::Keys, Place::Hash, Place::Products];

impl Place {
    pub(crate) fn say(self, settings: &mut Settings) {
        match self {
            Place::Keys => {}
            Place::Hash => settings.stock_hash = Some("stock".into()),
            Place::Products => {
                settings.stock_key = Some("product:{sku}".into());
                settings.stock_field = Some("stock".into());
            }
        }
    }

    /// Where a stock is, as a command's words.
    fn of(self, sku: &str) -> String {
        match self {
            Place::Keys => format!("stock:{sku}"),
            Place::Hash => format!("stock {sku}"),
            Place::Products => format!("product:{sku} stock"),
        }
    }

    pub(crate) fn set(self, sku: &str, value: &str) -> String {
        let command = if self == Place::Keys { "SET" } else { "HSET" };
        format!("{command} {} {value}", self.of(sku))
    }

    pub(crate) fn read(self, sku: &str) -> String {
        let command = if self == Place::Keys { "GET" } else { "HGET" };
        format!("{command} {}", self.of(sku))
    }

    /// Takes one unit.
    pub(crate) fn take(self, sku: &str) -> String {
        match self {
            Place::Keys => format!("DECR {}", self.of(sku)),
            _ => format!("HINCRBY {} -1", self.of(sku)),
        }
    }
}

/// A command written as one would to redis-cli.
pub(crate) fn command(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    cmd.arg(words.collect::<Vec<_>>());
    cmd
}
