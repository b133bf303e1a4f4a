//! The same orders through the coordinator.

use std::ops::Range;

use anyhow::{Result, ensure};
use tandem_proto::v1::WaitFor;
use tandem_tests::Client;

use super::Size;
use crate::contest::{Buyer, Turn};
use crate::contestant::CHANNELS;
use crate::scene::Tandem;
use crate::workload::{Answer, Cart};

pub(super) struct ThroughTandem {
    client: Client,
    size: Size,
    carts: Range<u64>,
    wait: WaitFor,
}

/// One for each client of a turn.
pub(super) fn clients(
    tandem: &Tandem,
    turn: &Turn,
    size: Size,
    carts: &Range<u64>,
    wait: WaitFor,
) -> Vec<ThroughTandem> {
    let channels: Vec<Client> = (0..CHANNELS).map(|_| tandem.coordinator.client()).collect();
    (0..turn.load.clients())
        .map(|number| ThroughTandem {
            client: channels[number % CHANNELS].clone(),
            size,
            carts: carts.clone(),
            wait,
        })
        .collect()
}

impl Buyer for ThroughTandem {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let mut order = self.size.order(cart, &self.carts)?;
        order.wait_for = self.wait.into();
        let bought = self.client.submit(&order).await?;
        ensure!(
            bought.applied || self.wait == WaitFor::Decided,
            "{} was answered before it was applied",
            cart.purchase_id
        );
        Ok(Answer::Bought)
    }

    async fn leave(self) -> Result<()> {
        Ok(())
    }
}
