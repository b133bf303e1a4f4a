//! A shop that was there before tandem, for a short while (`tests/shop/run` sells from it for long), and the
//! guide that takes it to tandem.

use std::process::ExitCode;

use libtest_mimic::{Completion, Trial};
use tandem_tests::shop::{Plan, carry_out, guide};
use tandem_tests::{Machine, Pair, PairName, Random, conclude, python_environment, run, skipped};

/// How many purchases a case makes.
const PURCHASES: u64 = 2_000;

fn main() -> ExitCode {
    let machine = Machine::look();
    let seed = Random::seed();
    let mut trials = Vec::new();
    for name in [PairName::Installed, PairName::MysqlRedis] {
        match machine.pair(name) {
            Ok(pair) => trials.extend([short_run(pair.clone(), seed), guide_as_written(pair)]),
            Err(reason) => trials.push(skipped(format!("shop::{name:?}"), reason)),
        }
    }
    conclude("shop", &machine, trials)
}

fn short_run(pair: Pair, seed: u64) -> Trial {
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

fn guide_as_written(pair: Pair) -> Trial {
    let title = format!("guide_works_as_it_is_written::{pair}");
    Trial::ignorable_test(title.clone(), move || {
        let python = match python_environment() {
            Ok(python) => python,
            Err(reason) => return Ok(Completion::ignored_with(format!("{reason:#}"))),
        };
        run(&title, |runtime| {
            runtime.block_on(guide::follow(&pair, &python))
        })?;
        Ok(Completion::Completed)
    })
}
