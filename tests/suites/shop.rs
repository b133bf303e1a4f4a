//! A shop that was there before tandem, for a short while; `tests/shop/run` sells from it for long.

use std::process::ExitCode;

use libtest_mimic::Trial;
use tandem_tests::shop::{Plan, carry_out};
use tandem_tests::{Machine, PairName, Random, conclude, run, skipped};

/// How many purchases a case makes.
const PURCHASES: u64 = 2_000;

fn main() -> ExitCode {
    let machine = Machine::look();
    let seed = Random::seed();
    let trials = [PairName::Installed, PairName::MysqlRedis];
    let trials = trials.into_iter().map(|name| match machine.pair(name) {
        Ok(pair) => {
            let title = format!("every_cell_and_unit_is_as_clients_were_told::{pair}");
            Trial::test(title.clone(), move || {
                let plan = Plan {
                    pair,
                    purchases: PURCHASES,
                    clients: 64,
                    kills: 1,
                    seed,
                };
                run(&title, |runtime| runtime.block_on(carry_out(&plan)))
            })
        }
        Err(reason) => skipped(format!("every_cell_and_unit::{name:?}"), reason),
    });
    let trials = trials.collect();
    conclude("shop", &machine, trials)
}
