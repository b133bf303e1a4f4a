//! A few rounds of chaos, the same ones each time; `tests/chaos` plays many.

#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use libtest_mimic::Trial;
use tandem_tests::chaos::{Plan, carry_out};
use tandem_tests::{Machine, PairName, conclude, enter_own_mounts, run, skipped};

/// Two worlds side by side, a few seconds a round.
const ROUNDS: u32 = 6;

/// The same choices in each run of the tests, so that a failure is not a surprise of the day;
/// `tests/chaos` is for surprises.
const SEED: u64 = 1;

fn main() -> ExitCode {
    enter_own_mounts();
    let machine = Machine::look();
    let pairs = [PairName::Installed, PairName::MysqlValkey];
    let trials = pairs.into_iter().map(|name| {
        let pair = match machine.pair(name) {
            Ok(pair) => pair,
            Err(reason) => return skipped(format!("chaos::{name:?}"), reason),
        };
        let title = format!("chaos::{pair}");
        Trial::test(title.clone(), move || {
            let plan = Plan {
                pair,
                rounds: ROUNDS,
                first: 0,
                seed: SEED,
                kinds: Vec::new(),
                steps: true,
                mysql_args: Vec::new(),
                shop: false,
                is_older: false,
                mistake: None,
                verbose: true,
            };
            run(&title, |runtime| {
                let outcome = runtime.block_on(carry_out(&plan))?;
                println!("{title}: {ROUNDS} rounds, seed {SEED}: {}", outcome.books);
                for skipped in outcome.skipped {
                    println!("SKIPPED {skipped}");
                }
                Ok(())
            })
        })
    });
    let trials = trials.collect();
    conclude("chaos", &machine, trials)
}
