//! Which server it is, and what follows from that.

use tandem_participant::Error;

/// The two families of servers, which differ in syntax and in what a session may do after `XA PREPARE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Flavour {
    MariaDb,
    MySql,
}

/// What was learnt of the server when a session connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) flavour: Flavour,
    /// `MariaDB 10.11.14`.
    pub(crate) name: String,
    /// Which server it is and which start of it: a digest of what tells one server from another
    /// ([`Flavour::digest_expression`]), a dot, and [`Server::start`].
    pub(crate) identity: String,
    /// Which server it is, for people: its host, port and data folder by its own words.
    pub(crate) place: String,
    /// When this run of the server began, in seconds since the Unix epoch. Connection ids begin
    /// anew with each, so an id means a connection only together with this.
    pub(crate) start: u64,
    /// Whether a prepared branch leaves its session at once (MySQL's `xa_detach_on_prepare`).
    pub(crate) detaches: bool,
    /// `max_allowed_packet`, in bytes.
    pub(crate) packet_bytes_max: usize,
    /// Whether the session is encrypted.
    pub(crate) encrypted: bool,
}

/// Room left in a packet for its header.
const PACKET_SLACK_BYTES: usize = 64;

/// Payload of one TLS record (RFC 8446, section 5.1).
const TLS_RECORD_BYTES: usize = 16_384;

/// Text of one statement, about, that many rows are joined into: the server's cost of parsing grows
/// with it, and the round trips saved by a longer one do not.
const STATEMENT_BYTES_MAX: usize = 256 * 1_024;

impl Server {
    /// Most bytes of statements to send at once.
    ///
    /// A packet of several TLS records goes out in several writes, and sqlx leaves Nagle's
    /// algorithm on: the second write then waits for the server's delayed acknowledgement, 40 ms on
    /// Linux (measured on MySQL 9.7: a branch of 128 purchases took 49 ms instead of 5). One round
    /// trip more for each 16 KB is cheaper.
    pub(crate) fn packet_bytes(&self) -> usize {
        let most = match self.encrypted {
            true => self.packet_bytes_max.min(TLS_RECORD_BYTES),
            false => self.packet_bytes_max,
        };
        most.saturating_sub(PACKET_SLACK_BYTES)
    }

    /// About how long a statement of many rows may become.
    pub(crate) fn statement_bytes(&self) -> usize {
        STATEMENT_BYTES_MAX.min(self.packet_bytes() / 4)
    }
}

impl Flavour {
    /// Oldest MariaDB that it was tried on.
    const MARIADB_MIN: [u32; 3] = [10, 11, 0];
    /// First MySQL with `xa_detach_on_prepare`.
    const MYSQL_MIN: [u32; 3] = [8, 0, 29];

    /// Tells the flavour from `VERSION()` and refuses servers that are too old. Gives the flavour
    /// and the server's name for people.
    pub fn recognised(version: &str) -> Result<(Flavour, String), Error> {
        let (flavour, product, min) = if version.contains("MariaDB") {
            (Flavour::MariaDb, "MariaDB", Flavour::MARIADB_MIN)
        } else {
            (Flavour::MySql, "MySQL", Flavour::MYSQL_MIN)
        };
        let number = version.split('-').next().unwrap_or_default();
        let mut parts = number
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let found = [(); 3].map(|()| parts.next().unwrap_or(0));
        if found < min {
            let [major, minor, patch] = min;
            return Err(Error::Invalid {
                detail: format!(
                    "the server is {product} {version}; tandem needs MariaDB 10.11 or later, or \
                     MySQL 8.0.29 or later (at least {major}.{minor}.{patch} here)"
                ),
            });
        }
        Ok((flavour, format!("{product} {number}")))
    }

    /// The end of a locking read that does not wait.
    pub(crate) fn share_nowait(self) -> &'static str {
        match self {
            Flavour::MariaDb => "LOCK IN SHARE MODE NOWAIT",
            Flavour::MySql => "FOR SHARE NOWAIT",
        }
    }

    /// The server's start in seconds since the Unix epoch, as an expression. Both terms are taken
    /// from the statement's own start time, so their difference does not waver.
    pub(crate) fn start_expression(self) -> &'static str {
        match self {
            Flavour::MariaDb => {
                "(SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
                 WHERE VARIABLE_NAME = 'UPTIME')"
            }
            Flavour::MySql => {
                "(SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM performance_schema.global_status \
                 WHERE VARIABLE_NAME = 'Uptime')"
            }
        }
    }

    /// What tells this server from any other that may answer at the same address, as an expression.
    ///
    /// MySQL has a UUID, which a copied data folder brings along; MariaDB has none, and its
    /// `server_uid` (from 10.11.9 on) is made of the network card's address and the port. So all
    /// else that differs between two servers is taken too: a replica has another `server_id`, and
    /// two servers of one machine have different ports and folders.
    pub(crate) fn digest_expression(self) -> &'static str {
        match self {
            Flavour::MariaDb => {
                "LEFT(SHA2(CONCAT_WS('|', (SELECT VARIABLE_VALUE FROM \
                 information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'SERVER_UID'), \
                 @@server_id, @@hostname, @@port, @@datadir, @@pid_file), 256), 16)"
            }
            Flavour::MySql => {
                "LEFT(SHA2(CONCAT_WS('|', @@server_uuid, @@server_id, @@hostname, @@port, \
                 @@datadir, @@pid_file), 256), 16)"
            }
        }
    }

    /// Whether the session is encrypted, as an expression.
    pub(crate) fn encrypted_expression(self) -> &'static str {
        match self {
            Flavour::MariaDb => {
                "(SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE \
                 VARIABLE_NAME = 'SSL_CIPHER')"
            }
            Flavour::MySql => {
                "(SELECT VARIABLE_VALUE <> '' FROM performance_schema.session_status WHERE \
                 VARIABLE_NAME = 'Ssl_cipher')"
            }
        }
    }

    /// Whether a prepared branch leaves its session, as an expression.
    pub(crate) fn detaches_expression(self) -> &'static str {
        match self {
            Flavour::MariaDb => "0",
            Flavour::MySql => "@@SESSION.xa_detach_on_prepare",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavour_and_age_are_read_from_the_version() {
        let name = Flavour::recognised;
        assert_eq!(
            name("10.11.14-MariaDB-0+deb12u2").expect("supported"),
            (Flavour::MariaDb, "MariaDB 10.11.14".into())
        );
        assert_eq!(
            name("9.7.0-community").expect("supported"),
            (Flavour::MySql, "MySQL 9.7.0".into())
        );
        assert!(name("8.0.29").is_ok());
        for old in [
            "8.0.28",
            "5.7.44-log",
            "10.6.18-MariaDB",
            "8.0.11-TiDB-v7.5.0",
            "",
        ] {
            assert!(name(old).is_err(), "{old}");
        }
    }
}
