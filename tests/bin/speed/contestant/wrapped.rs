//! The app's own code in a try and catch: BEGIN, INSERT, MULTI/DECRBY/EXEC, COMMIT. If the stock is
//! not enough it puts back what it took and rolls back.

use anyhow::Result;
use sqlx::Executor;

use super::app::App;
use crate::books::Books;
use crate::contest::{self, Buyer, Turn};
use crate::meter::Meter;
use crate::scene::Scene;
use crate::score::Score;
use crate::workload::{Answer, Cart};

pub(crate) const TABLE: &str = "wrapped_purchases";

struct Wrapped(App);

pub(crate) async fn play(scene: &Scene, turn: &Turn) -> Result<Score> {
    let stores = &scene.stores;
    let books = Books::open(stores, TABLE).await?;
    let clients = App::clients(stores, turn, TABLE).await?;
    let meter = Meter::of(&scene.forces, scene.store_processes()?);
    let buyers = clients.into_iter().map(Wrapped).collect();
    let (score, told) = contest::play(turn, &meter, buyers).await?;
    let items = told.bought * turn.workload.items() as u64;
    books.close(stores, items, items).await?;
    Ok(score)
}

impl Buyer for Wrapped {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let Wrapped(app) = self;
        app.sql.execute("BEGIN").await?;
        app.insert(cart).await?;
        if app.take(cart, 1, true).await? {
            app.sql.execute("COMMIT").await?;
            return Ok(Answer::Bought);
        }
        app.take(cart, -1, true).await?;
        app.sql.execute("ROLLBACK").await?;
        Ok(Answer::Refused)
    }

    async fn leave(self) -> Result<()> {
        self.0.leave().await
    }
}
