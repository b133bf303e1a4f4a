//! What is prepared at the server.

use tandem_participant::PreparedId;
use tandem_protocol::ParticipantName;
use tokio::time::Instant;

use crate::records::xid;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;

/// What XA RECOVER lists. It gives the bytes as VARBINARY on MariaDB and as VARCHAR on MySQL.
pub(crate) async fn listed(
    session: &mut Session,
    participant: &ParticipantName,
    deadline: Instant,
) -> Result<Vec<PreparedId>, PacketFailure> {
    let rows = session.query("XA RECOVER", deadline).await?;
    rows.iter()
        .map(|row| {
            let (format_id, gtrid_length) = (answer::field(row, 0)?, answer::field(row, 1)?);
            let data = answer::bytes(row, 3)?;
            xid::read(&format_id, &gtrid_length, &data, participant)
                .map_err(|reason| PacketFailure::lost(0, &reason))
        })
        .collect()
}
