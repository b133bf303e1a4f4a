//! Who takes part.

mod app;
pub(crate) mod dtmrs;
mod naive;
pub(crate) mod through_tandem;
mod wrapped;

pub(crate) use app::App;
pub(crate) use through_tandem::CHANNELS;

use anyhow::Result;
use clap::ValueEnum;
use tandem_proto::v1::WaitFor;

use crate::contest::Turn;
use crate::limits::{call, insert};
use crate::scene::{Place, Scene};
use crate::score::Score;

/// The contestants' tables.
pub(crate) const TABLES: [&str; 5] = [
    naive::TABLE,
    wrapped::TABLE,
    insert::TABLE,
    dtmrs::TABLE,
    through_tandem::TABLE,
];

/// A way to make purchases, or a limit that none can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Contestant {
    /// The app's own code: INSERT, then DECRBY
    Naive,
    /// The same in a try and catch: BEGIN, INSERT, MULTI/DECRBY/EXEC, COMMIT
    Wrapped,
    /// tandem, participants in its process, answered when applied
    Tandem,
    /// tandem, participants in its process, answered when decided
    Decided,
    /// tandem with sidecars, answered when applied
    Sidecars,
    /// tandem with sidecars, answered when decided
    SidecarsDecided,
    /// dtmrs, counted when the row is inserted
    Dtmrs,
    /// A limit: the INSERT alone
    Insert,
    /// A limit: a gRPC call that does nothing
    Call,
}

impl Contestant {
    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Contestant::Naive => "naive",
            Contestant::Wrapped => "wrapped",
            Contestant::Tandem => "tandem",
            Contestant::Decided => "tandem, decided",
            Contestant::Sidecars => "tandem, sidecars",
            Contestant::SidecarsDecided => "tandem, sidecars, decided",
            Contestant::Dtmrs => "dtmrs",
            Contestant::Insert => "limit: INSERT",
            Contestant::Call => "limit: empty call",
        }
    }

    /// Whether it makes purchases.
    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Contestant::Insert | Contestant::Call)
    }

    /// Takes a turn. An error if the stores then do not agree with the answers.
    pub(crate) async fn play(self, scene: &Scene, turn: &Turn) -> Result<Score> {
        let tandem = |place, wait| through_tandem::play(scene.party(place), turn, wait);
        match self {
            Contestant::Naive => naive::play(scene, turn).await,
            Contestant::Wrapped => wrapped::play(scene, turn).await,
            Contestant::Tandem => tandem(Place::Inside, WaitFor::Applied).await,
            Contestant::Decided => tandem(Place::Inside, WaitFor::Decided).await,
            Contestant::Sidecars => tandem(Place::Sidecars, WaitFor::Applied).await,
            Contestant::SidecarsDecided => tandem(Place::Sidecars, WaitFor::Decided).await,
            Contestant::Dtmrs => dtmrs::play(scene, turn).await,
            Contestant::Insert => insert::play(scene, turn).await,
            Contestant::Call => call::play(scene, turn).await,
        }
    }
}
