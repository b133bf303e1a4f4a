//! Where the contestants of a part meet: beside goods of the benchmark's own, or in a shop that was there before.

use anyhow::Result;
use tandem_tests::Stores;

use crate::contest::Turn;
use crate::contestant::Contestant;
use crate::forces::Forces;
use crate::orders::{self, InLog};
use crate::scene::{Alone, Place, Scene, Setting};
use crate::score::Score;

/// Stores, and what the contestants need besides.
pub(crate) enum Stage {
    /// A table for each contestant, and everything that any of them needs.
    Goods(Box<Scene>),
    /// The shop's tables, and a coordinator with the shop's mapping.
    Shop(Box<Alone>),
}

impl Stage {
    pub(crate) async fn start(setting: Setting<'_>) -> Result<Stage> {
        Ok(match setting.shop {
            false => Stage::Goods(Box::new(Scene::start(setting).await?)),
            true => Stage::Shop(Box::new(Alone::start(setting, None).await?)),
        })
    }

    /// Takes a contestant's turn. An error if the stores then do not agree with the answers.
    pub(crate) async fn play(&self, contestant: Contestant, turn: &Turn) -> Result<Score> {
        let turn = Turn {
            name: format!("{}-{contestant:?}", turn.name),
            ..turn.clone()
        };
        match self {
            Stage::Goods(scene) => contestant.play(scene, &turn).await,
            Stage::Shop(alone) => orders::play(alone.party(), contestant, &turn).await,
        }
    }

    pub(crate) fn stores(&self) -> &Stores {
        match self {
            Stage::Goods(scene) => &scene.stores,
            Stage::Shop(alone) => alone.party().stores,
        }
    }

    pub(crate) fn forces(&self) -> &Forces {
        match self {
            Stage::Goods(scene) => &scene.forces,
            Stage::Shop(alone) => alone.party().forces,
        }
    }

    /// Ends a shop's coordinator and says what each purchase takes in its log; of the others nobody asks.
    pub(crate) async fn close_log(&self) -> Result<Option<InLog>> {
        Ok(match self {
            Stage::Goods(_) => None,
            Stage::Shop(alone) => InLog::look(alone.party()).await?,
        })
    }

    /// The highest resident memory of each coordinator so far, in KiB.
    pub(crate) fn memory_kib(&self) -> Result<Vec<(&'static str, u64)>> {
        const INSIDE: &str = "participants inside";
        let peak = |tandem: &crate::scene::Tandem| tandem.coordinator.peak_memory_kib();
        Ok(match self {
            Stage::Goods(scene) => vec![
                (INSIDE, peak(scene.tandem(Place::Inside))?),
                ("with sidecars", peak(scene.tandem(Place::Sidecars))?),
            ],
            Stage::Shop(alone) => vec![(INSIDE, peak(alone.party().tandem)?)],
        })
    }
}
