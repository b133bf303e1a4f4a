//! Statements that are to run one after the other, packed into as few packets as fit.

use tokio::time::Instant;

use crate::session::{Failure, Session};

/// Runs statements in order; stops at the first that fails, and [`Failure::completed`] counts over
/// all packets.
pub(crate) async fn run(
    session: &mut Session,
    statements: &[String],
    deadline: Instant,
) -> Result<(), Failure> {
    let bytes_max = session.server.packet_bytes();
    let mut done = 0;
    for packet in pack(statements, bytes_max) {
        session
            .run(&packet.join(";"), deadline)
            .await
            .map_err(|failure| Failure {
                completed: failure.completed + done,
                ..failure
            })?;
        done += packet.len();
    }
    Ok(())
}

/// Cuts the list into runs whose text, joined, is at most `bytes_max` long. A statement that is
/// longer by itself stands alone, and the server says so.
fn pack(statements: &[String], bytes_max: usize) -> Vec<&[String]> {
    let mut packets = Vec::new();
    let mut begin = 0;
    let mut bytes = 0;
    for (at, statement) in statements.iter().enumerate() {
        let more = statement.len() + 1;
        if at > begin && bytes + more > bytes_max {
            packets.push(&statements[begin..at]);
            begin = at;
            bytes = 0;
        }
        bytes += more;
    }
    if begin < statements.len() {
        packets.push(&statements[begin..]);
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_packed_in_order_and_none_is_lost() {
        let statements: Vec<String> = [3, 3, 9, 1, 1].map(|length| "x".repeat(length)).into();
        let lengths = |bytes_max| -> Vec<usize> {
            let packets = pack(&statements, bytes_max);
            assert_eq!(packets.concat(), statements);
            packets.iter().map(|packet| packet.len()).collect()
        };
        assert_eq!(lengths(1_000), [5]);
        assert_eq!(lengths(8), [2, 1, 2]);
        assert_eq!(lengths(1), [1, 1, 1, 1, 1]);
        assert!(pack(&[], 8).is_empty());
    }
}
