//! The app's own code: INSERT the purchase, then DECRBY the stock; a connection each per client,
//! prepared statements, no transaction around the two. If the stock is not enough it puts back what
//! it took and deletes the row.

use anyhow::Result;

use super::app::App;
use crate::books::Books;
use crate::contest::{self, Buyer, Turn};
use crate::meter::Meter;
use crate::scene::Scene;
use crate::score::Score;
use crate::workload::{Answer, Cart};

pub(crate) const TABLE: &str = "naive_purchases";

struct Naive(App);

pub(crate) async fn play(scene: &Scene, turn: &Turn) -> Result<Score> {
    let stores = &scene.stores;
    let books = Books::open(stores, TABLE).await?;
    let clients = App::clients(stores, turn, TABLE).await?;
    let meter = Meter::of(&scene.forces, scene.store_processes()?);
    let buyers = clients.into_iter().map(Naive).collect();
    let (score, told) = contest::play(turn, &meter, buyers).await?;
    let items = told.bought * turn.workload.items() as u64;
    books.close(stores, items, items).await?;
    Ok(score)
}

impl Buyer for Naive {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let Naive(app) = self;
        app.insert(cart).await?;
        if app.take(cart, 1, false).await? {
            return Ok(Answer::Bought);
        }
        app.take(cart, -1, false).await?;
        app.delete(cart).await?;
        Ok(Answer::Refused)
    }

    async fn leave(self) -> Result<()> {
        self.0.leave().await
    }
}
