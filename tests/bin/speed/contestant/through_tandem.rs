//! The same purchases through the coordinator.

use anyhow::{Result, ensure};
use tandem_proto::v1::WaitFor;
use tandem_tests::{Client, purchase};
use tonic::Code;

use crate::books::Books;
use crate::contest::{self, Buyer, Turn};
use crate::meter::Meter;
use crate::scene::Party;
use crate::score::Score;
use crate::workload::{Answer, Cart};

pub(crate) const TABLE: &str = "tandem_purchases";

/// Connections that the clients share, as the processes of an app would.
pub(crate) const CHANNELS: usize = 4;

struct ThroughTandem {
    client: Client,
    wait: WaitFor,
}

pub(crate) async fn play(party: Party<'_>, turn: &Turn, wait: WaitFor) -> Result<Score> {
    let books = Books::open(party.stores, TABLE).await?;
    let coordinator = &party.tandem.coordinator;
    let channels: Vec<_> = (0..CHANNELS).map(|_| coordinator.client()).collect();
    let buyers = (0..turn.load.clients())
        .map(|number| ThroughTandem {
            client: channels[number % CHANNELS].clone(),
            wait,
        })
        .collect();
    let meter = Meter::of(party.forces, party.processes()?);
    let (score, told) = contest::play(turn, &meter, buyers).await?;
    party.quiet().await?;
    let items = told.bought * turn.workload.items() as u64;
    books.close(party.stores, items, items).await?;
    Ok(score)
}

impl Buyer for ThroughTandem {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let items: Vec<(&str, u32)> = cart.skus.iter().map(|sku| (sku.as_str(), 1)).collect();
        let mut asked = purchase(&cart.purchase_id, &items);
        asked.wait_for = self.wait.into();
        match self.client.submit(&asked).await {
            Ok(bought) => {
                ensure!(
                    bought.applied || self.wait == WaitFor::Decided,
                    "{} was answered before it was applied",
                    cart.purchase_id
                );
                Ok(Answer::Bought)
            }
            Err(status) if status.code() == Code::FailedPrecondition => Ok(Answer::Refused),
            Err(status) => Err(status.into()),
        }
    }

    async fn leave(self) -> Result<()> {
        Ok(())
    }
}
