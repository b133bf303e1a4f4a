//! Mistakes that are planted between the coordinator and the stores, in what each hears of the other.

use tandem_protocol::{Entry, ParticipantName, RefusedEntry, Vote};

use crate::network::Request;
use crate::plan::{Planted, Shell};
use crate::world::World;

/// A vote on these entries as the coordinator is told it.
pub(crate) fn mistaken(planted: Planted, mut vote: Vote, entries: &[Entry]) -> Vote {
    if let Vote::Yes { refused, .. } = &mut vote
        && planted == Planted::Shell(Shell::RefusalTakesNeighbours)
    {
        take_neighbours(refused, entries);
    }
    vote
}

/// Refuses all entries for what one of them is refused for.
fn take_neighbours(refused: &mut Vec<RefusedEntry>, entries: &[Entry]) {
    if let Some(first) = refused.first() {
        let refusal = first.refusal.clone();
        let entry = |entry: &Entry| RefusedEntry {
            number: entry.number,
            refusal: refusal.clone(),
        };
        *refused = entries.iter().map(entry).collect();
    }
}

impl World {
    /// Whether a prepare has to wait while another one waits for a lock, which it does not need itself.
    pub(crate) fn is_held_up(&self, to: &ParticipantName, request: &Request) -> bool {
        let Request::Prepare(_, entries, _) = request else {
            return false;
        };
        self.has(Planted::Shell(Shell::LockHoldsOthersUp))
            && self.now < self.lock_wait_until
            && self.locked(to, entries).is_empty()
    }
}
