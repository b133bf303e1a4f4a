//! Where a role listens: an address, or a table that says more of it.

use std::fmt;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};

/// Where peers connect, and how: `"127.0.0.1:7650"`, or
/// `{ address = "10.0.0.5:7650", plaintext = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// Whether it speaks plain text, though there is `[tls]` or others can read along.
    pub plaintext: bool,
}

impl Listener {
    /// Whether whoever is on the way can read and change what is said, since there is no TLS and the peer
    /// may be on another machine.
    pub fn is_exposed(&self, has_tls: bool) -> bool {
        (self.plaintext || !has_tls) && !self.address.ip().to_canonical().is_loopback()
    }

    /// Whether it is exposed and the configuration does not say that it may be.
    pub(super) fn is_refused(&self, has_tls: bool) -> bool {
        self.is_exposed(has_tls) && !self.plaintext
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "address")]
    address: SocketAddr,
    #[serde(default)]
    plaintext: bool,
}

/// By hand, since an untagged enum says "data did not match any variant" of a mistyped address.
impl<'de> Deserialize<'de> for Listener {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = Listener;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an IP address and a port, as in \"127.0.0.1:7650\", or a table with address and plaintext",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Listener, E> {
        Ok(Listener {
            address: parsed(text)?,
            plaintext: false,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Listener, A::Error> {
        let Table { address, plaintext } = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Listener { address, plaintext })
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parsed(&String::deserialize(deserializer)?)
}

/// Port 0 would be another port at each start, which no client can know.
fn parsed<E: Error>(text: &str) -> Result<SocketAddr, E> {
    let address = text.parse().ok().filter(|a: &SocketAddr| a.port() != 0);
    address.ok_or_else(|| {
        E::invalid_value(
            Unexpected::Str(text),
            &"an IP address and a port, as in \"127.0.0.1:7650\"",
        )
    })
}
