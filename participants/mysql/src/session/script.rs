//! Statements that are to run one after the other, packed into as few packets as fit.

use tokio::time::Instant;

use crate::session::codes;
use crate::session::connection::Session;
use crate::session::failure::{Cause, PacketFailure};
use crate::sql::guard::Guard;
use crate::sql::line::{Line, pack};

/// Runs statements in order; stops at the first that fails, and [`PacketFailure::completed`] counts over
/// all packets.
pub(crate) async fn run(
    session: &mut Session,
    lines: &[Line<'_>],
    deadline: Instant,
) -> Result<(), PacketFailure> {
    let bytes_max = session.server.packet_bytes();
    let mut done = 0;
    for packet in pack(lines, bytes_max) {
        let texts: Vec<&str> = packet.iter().map(|line| line.sql.as_str()).collect();
        if let Err(failure) = session.run(&texts.join(";"), deadline).await {
            let failed = packet.get(failure.completed);
            let failure = match (failed.and_then(Line::guard), failed.and_then(Line::hidden)) {
                (Some(guard), _) => told(guard, failure),
                (None, Some(statement)) => hidden(statement, failure),
                (None, None) => failure,
            };
            return Err(PacketFailure {
                completed: failure.completed + done,
                ..failure
            });
        }
        done += packet.len();
    }
    Ok(())
}

/// What the failure of a guard says. The same number from a statement of the app's, or from a trigger, is
/// that statement's.
fn told(guard: &Guard, failure: PacketFailure) -> PacketFailure {
    let PacketFailure { completed, cause } = failure;
    let cause = match cause {
        Cause::Server {
            number, message, ..
        } if number == codes::OUT_OF_RANGE => {
            let (missed, detail) = guard.missed(&message);
            Cause::Missed { missed, detail }
        }
        cause => cause,
    };
    PacketFailure { completed, cause }
}

/// The failure of a statement with personal values, which servers repeat in their messages ("Duplicate entry
/// 'ann@example.org' for key 'email'"): its number, its class and its key go on.
fn hidden(statement: &str, failure: PacketFailure) -> PacketFailure {
    let PacketFailure { completed, cause } = failure;
    let cause = match cause {
        Cause::Server {
            number,
            class,
            message,
        } => {
            let key = message.rsplit_once(" for key ").map(|(_, key)| key);
            let key = key.map(|key| format!(" for key {key}")).unwrap_or_default();
            Cause::Server {
                number,
                class,
                message: format!(
                    "{statement} failed{key}; it has a personal attribute, so that the server's words are not \
                     repeated"
                ),
            }
        }
        cause => cause,
    };
    PacketFailure { completed, cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::codes::Class;

    #[test]
    fn what_a_server_says_of_personal_values_is_not_repeated() {
        let said = |message: &str| {
            let cause = Cause::Server {
                number: 1062,
                class: Class::Duplicate,
                message: message.to_owned(),
            };
            let failure = PacketFailure {
                completed: 2,
                cause,
            };
            hidden("statement 1 (orders)", failure).cause.to_string()
        };
        let said_of_key = said("Duplicate entry 'a for key b@example.org' for key 'orders.email'");
        assert!(
            said_of_key
                .starts_with("error 1062: statement 1 (orders) failed for key 'orders.email';")
        );
        let said_of_value = said("Incorrect decimal value: 'ann' for column `shop`.`orders`.`fee`");
        for text in [said_of_key, said_of_value] {
            assert!(!text.contains("example") && !text.contains("ann"), "{text}");
        }
    }

    fn told(rows: u32, number: u16, message: &str) -> Cause {
        let cause = Cause::Server {
            number,
            class: Class::Entry,
            message: message.to_owned(),
        };
        let failure = PacketFailure {
            completed: 3,
            cause,
        };
        super::told(&Guard::new("statement 2", rows), failure).cause
    }

    #[test]
    fn what_either_server_says_of_a_guard_is_told_in_words() {
        for (rows, message, expected) in [
            (
                1,
                "BIGINT UNSIGNED value is out of range in '~0 + 1'",
                "statement 2 met no row and must meet one",
            ),
            (
                3,
                "BIGINT UNSIGNED value is out of range in '(~(0) + 1)'",
                "statement 2 met fewer rows than the 3 that it must meet",
            ),
            (
                1,
                "DOUBLE value is out of range in 'exp(999)'",
                "statement 2 met more rows than the one that it must meet",
            ),
        ] {
            let said = told(rows, 1690, message).to_string();
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn another_error_at_a_guard_is_no_count() {
        let interrupted = told(1, 1317, "Query execution was interrupted");
        assert!(matches!(interrupted, Cause::Server { number: 1317, .. }));
    }
}
