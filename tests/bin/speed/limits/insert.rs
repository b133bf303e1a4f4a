//! The INSERT alone, with the same clients.

use anyhow::Result;

use crate::books::Books;
use crate::contest::{self, Buyer, Turn};
use crate::contestant::App;
use crate::meter::Meter;
use crate::scene::Scene;
use crate::score::Score;
use crate::workload::{Answer, Cart};

pub(crate) const TABLE: &str = "inserted_purchases";

struct Insert(App);

pub(crate) async fn play(scene: &Scene, turn: &Turn) -> Result<Score> {
    let stores = &scene.stores;
    let books = Books::open(stores, TABLE).await?;
    let clients = App::clients(stores, turn, TABLE).await?;
    let meter = Meter::of(&scene.forces, scene.store_processes()?);
    let buyers = clients.into_iter().map(Insert).collect();
    let (score, told) = contest::play(turn, &meter, buyers).await?;
    let rows = (told.bought + told.refused) * turn.workload.items() as u64;
    books.close(stores, rows, 0).await?;
    Ok(score)
}

impl Buyer for Insert {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        self.0.insert(cart).await?;
        Ok(cart.due())
    }

    async fn leave(self) -> Result<()> {
        self.0.leave().await
    }
}
