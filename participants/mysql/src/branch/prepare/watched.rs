//! A prepare's packet, looked after: where it waits for a lock that will not be given up soon, it is
//! interrupted, so that one locked row does not cost the others in it a lock wait.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::branch::interrupt::interrupt;
use crate::branch::prepare::job::Job;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::script;
use crate::session::watch::{Holder, Watch};
use crate::sql::line::Line;

/// Whether a packet may be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It holds entries of others than the one that waits.
    Interrupt,
    /// It holds one entry, which may wait for its lock.
    Look,
}

/// Runs a script of a branch with so many entries, and notes who was in its way, where the server
/// tells.
pub(crate) async fn run(
    job: &Job<'_>,
    session: &mut Session,
    statements: &[Line<'_>],
    (entries, manners): (usize, Manners),
) -> Result<(), PacketFailure> {
    let watch = &job.store.watch;
    let connection_id = session.id;
    let begun = Instant::now();
    let mut patience = watch.patience(entries);
    let mut packet = pin!(script::run(session, statements, job.deadline()));
    job.note_holder(None);
    loop {
        tokio::select! {
            result = &mut packet => {
                if result.is_ok() {
                    watch.learn(entries, begun.elapsed());
                }
                return result;
            }
            () = sleep_until(begun + patience) => {}
        }
        // Spawned, since a look that is cut off costs its session.
        let look = tokio::spawn(look(Arc::clone(watch), connection_id));
        let holders = tokio::select! {
            result = &mut packet => return result,
            holders = look => holders.unwrap_or_default(),
        };
        if let Some(holder) = holders.into_iter().find(|holder| watch.stays(holder)) {
            watch.say(&job.store.settings.address, &holder);
            job.note_holder(Some(holder));
            if manners == Manners::Interrupt {
                let interruption = interrupt(job.store, connection_id, job.deadline());
                return tokio::join!(packet, interruption).0;
            }
        }
        patience = 2 * patience.max(begun.elapsed());
    }
}

async fn look(watch: Arc<Watch>, connection_id: u64) -> Vec<Holder> {
    watch.holders(connection_id).await
}
