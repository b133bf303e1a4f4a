//! The time zone of tandem's sessions beside that of everybody else's.

use tokio::time::Instant;

use crate::danger::Danger;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::store::Store;

/// One in winter and one in summer.
const NOONS: [&str; 2] = ["2026-01-15 12:00:00", "2026-07-15 12:00:00"];

/// Whether each moment has a time of its own in the session's zone: there is none that comes twice, when
/// summer ends.
pub(crate) async fn is_even(
    session: &mut Session,
    deadline: Instant,
) -> Result<bool, PacketFailure> {
    let [winter, summer] = NOONS.map(|noon| {
        format!("TIMEDIFF(CONVERT_TZ('{noon}', '+00:00', @@SESSION.time_zone), '{noon}')")
    });
    let query = format!("SELECT IFNULL({winter} = {summer}, 0)");
    let rows = session.query(&query, deadline).await?;
    Ok(answer::cell(&rows, 0)? == "1")
}

/// Whether statements of the app's would mean another time than in its own sessions, and nothing says that
/// this is meant: `SYSTEM` is the machine's zone, and not what the server gives its sessions. Compared in winter and in summer, so that the answer does not come and go with them.
pub(crate) async fn of(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<Danger>, PacketFailure> {
    if store.settings.means_time_zone || store.settings.default_schema {
        return Ok(None);
    }
    let is_same = |noon: &str| {
        let [ours, theirs] = ["SESSION", "GLOBAL"]
            .map(|whose| format!("CONVERT_TZ('{noon}', '+00:00', @@{whose}.time_zone)"));
        format!("IFNULL({ours} = {theirs}, 1)")
    };
    let [winter, summer] = NOONS.map(is_same);
    let query = format!(
        "SELECT {winter} AND {summer}, @@GLOBAL.time_zone, @@GLOBAL.system_time_zone, @@SESSION.time_zone"
    );
    let rows = session.query(&query, deadline).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let differs = answer::field(row, 0)? == "0";
    Ok(differs.then_some(Danger::TimeZoneDiffers {
        zone: answer::field(row, 1)?,
        system: answer::field(row, 2)?,
        ours: answer::field(row, 3)?,
    }))
}
