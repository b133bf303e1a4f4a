//! A shop's own orders (`tests/shop`): through tandem with the shop's mapping, and by the shop's own code.

mod books;
mod in_log;
mod order;
mod own_code;
mod through_tandem;

use anyhow::{Context, Result, bail};
use sqlx::{Executor, Row};
use tandem_proto::v1::WaitFor;
use tandem_tests::Stores;
use tandem_tests::shop::fixture;

use crate::contest::{Load, Turn};
use crate::contestant::Contestant;
use crate::meter::Meter;
use crate::scene::Party;
use crate::score::Score;
use books::Books;

pub(crate) use in_log::InLog;
pub(crate) use order::Size;

/// Orders a second that carts are opened for: more than anybody makes on the machines that this runs on.
const ORDERS_PER_S_MAX: f64 = 25_000.0;

/// Takes a contestant's turn on open carts of its own. An error if the stores then do not agree with the answers.
pub(crate) async fn play(party: Party<'_>, who: Contestant, turn: &Turn) -> Result<Score> {
    let size = turn.workload.order().context("no order is bought here")?;
    let carts = open_carts(party.stores, turn).await?;
    let books = Books::open(party.stores).await?;
    let (score, told) = match who {
        Contestant::Naive => {
            let meter = Meter::of(party.forces, party.store_processes()?);
            let clients = own_code::clients(party.stores, turn, size, &carts).await?;
            crate::contest::play(turn, &meter, clients).await?
        }
        Contestant::Tandem | Contestant::Decided => {
            let wait = match who {
                Contestant::Decided => WaitFor::Decided,
                _ => WaitFor::Applied,
            };
            let meter = Meter::of(party.forces, party.processes()?);
            let clients = through_tandem::clients(party.tandem, turn, size, &carts, wait);
            let (score, told) = crate::contest::play(turn, &meter, clients).await?;
            party.quiet().await?;
            (score, told)
        }
        other => bail!("{} has no code for a shop's own orders", other.title()),
    };
    books.close(party.stores, size, told.bought).await?;
    Ok(score)
}

/// The numbers of carts that were opened for a turn, all of them of customers that the shop knows.
async fn open_carts(stores: &Stores, turn: &Turn) -> Result<std::ops::Range<u64>> {
    let last = "SELECT CAST(COALESCE(MAX(id), 0) AS SIGNED) FROM carts";
    let opened: i64 = stores.sql().await?.fetch_one(last).await?.try_get(0)?;
    // Numbers are from 0, and their ids follow: see the fixture's `cart`.
    let first = opened.cast_unsigned();
    let rate = match turn.load {
        Load::Closed { .. } => ORDERS_PER_S_MAX,
        Load::Open { rate, .. } => rate,
    };
    let seconds = (turn.warm_up + turn.window).as_secs_f64();
    let number = (rate * seconds) as u64 + turn.load.clients() as u64;
    let carts = first..first + number;
    fixture::open_carts(stores, carts.clone()).await?;
    Ok(carts)
}
