//! Where a role listens: an address, or a table that says more of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};

/// The longest path of a unix socket, in bytes: `sun_path` of unix(7) without the zero at its end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Who may connect to a unix socket if nothing else is said: its owner and its group.
const MODE: u32 = 0o660;

/// Where peers connect, and how: `"127.0.0.1:7650"`, `"unix:/run/tandem/shop/admin.sock"`, or
/// `{ address = "10.0.0.5:7650", plaintext = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: Address,
    /// Whether it speaks plain text, though there is `[tls]` or others can read along.
    pub plaintext: bool,
}

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address of this machine.
    Tcp(SocketAddr),
    /// A file of this machine.
    Unix(Socket),
}

/// A unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Its file; a relative path starts at the configuration file's folder.
    pub path: PathBuf,
    /// The permissions of the file, as chmod(1) has them.
    pub mode: u32,
    /// The group of the file; that of the process if there is none.
    pub group: Option<String>,
}

impl Socket {
    /// One at this path that its owner and its group may connect to.
    pub fn new(path: PathBuf) -> Socket {
        Socket {
            path,
            mode: MODE,
            group: None,
        }
    }

    /// What is wrong with the path: a longer one can't be connected to.
    pub fn refusal(&self) -> Option<String> {
        let bytes = self.path.as_os_str().len();
        (bytes > SOCKET_PATH_BYTES_MAX).then(|| {
            format!(
                "the path of the unix socket {} has {bytes} bytes, and {SOCKET_PATH_BYTES_MAX} is the most \
                 that the kernel takes: choose a shorter one",
                self.path.display()
            )
        })
    }
}

impl Listener {
    /// In plain text only if that can't be helped.
    pub fn new(address: Address) -> Listener {
        Listener {
            address,
            plaintext: false,
        }
    }

    /// Whether it speaks TLS, where the configuration has any: a unix socket leaves no machine.
    pub fn is_encrypted(&self, has_tls: bool) -> bool {
        has_tls && !self.plaintext && matches!(self.address, Address::Tcp(_))
    }

    /// Whether whoever is on the way can read and change what is said, since there is no TLS and the peer
    /// may be on another machine.
    pub fn is_exposed(&self, has_tls: bool) -> bool {
        match &self.address {
            Address::Unix(_) => false,
            Address::Tcp(address) => {
                (self.plaintext || !has_tls) && !address.ip().to_canonical().is_loopback()
            }
        }
    }

    /// Whether it is exposed and the configuration does not say that it may be.
    pub(super) fn is_refused(&self, has_tls: bool) -> bool {
        self.is_exposed(has_tls) && !self.plaintext
    }

    /// Makes a relative path start at `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        if let Address::Unix(socket) = &mut self.address {
            socket.path = folder.join(&socket.path);
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "address")]
    address: Address,
    #[serde(default)]
    plaintext: bool,
    #[serde(default, deserialize_with = "mode")]
    mode: Option<u32>,
    group: Option<String>,
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
        write!(f, "{ADDRESS}, or a table with address")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Listener, E> {
        parsed(text).map(Listener::new)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Listener, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        let mut listener = Listener::new(table.address);
        listener.plaintext = table.plaintext;
        match &mut listener.address {
            Address::Unix(socket) => {
                socket.mode = table.mode.unwrap_or(MODE);
                socket.group = table.group;
            }
            Address::Tcp(_) if table.mode.is_some() || table.group.is_some() => {
                return Err(A::Error::custom("mode and group are a unix socket's"));
            }
            Address::Tcp(_) => {}
        }
        Ok(listener)
    }
}

const ADDRESS: &str = "an IP address and a port, as in \"127.0.0.1:7650\", or a unix socket, as in \
                       \"unix:/run/tandem/shop/admin.sock\"";

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    parsed(&String::deserialize(deserializer)?)
}

/// Port 0 would be another port at each start, which no client can know.
fn parsed<E: Error>(text: &str) -> Result<Address, E> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        let socket = Socket::new(path.into());
        return match socket.refusal() {
            None => Ok(Address::Unix(socket)),
            Some(refusal) => Err(E::custom(refusal)),
        };
    }
    let address = text.parse().ok().filter(|a: &SocketAddr| a.port() != 0);
    let address = address.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &ADDRESS))?;
    Ok(Address::Tcp(address))
}

/// Permissions in octal digits, as a text: `"0660"`.
fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mode = u32::from_str_radix(&text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777);
    let rule = "permissions in octal digits, as in \"0660\"";
    mode.map(Some)
        .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &rule))
}
