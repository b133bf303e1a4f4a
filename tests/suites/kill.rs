//! `kill -9` of every part under load. `TANDEM_KILL_ROUNDS` says how often; `tests/kill` runs one
//! victim for long.

#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use libtest_mimic::Trial;
use tandem_tests::kill::{Plan, Victim, carry_out, rounds_wanted};
use tandem_tests::{Machine, PairName, Random, conclude, run, skipped};

const CASES: [(Victim, PairName); 8] = [
    (Victim::Coordinator, PairName::Installed),
    (Victim::Coordinator, PairName::MysqlRedis),
    (Victim::Mysql, PairName::Installed),
    (Victim::Mysql, PairName::MysqlRedis),
    (Victim::Redis, PairName::Installed),
    (Victim::Redis, PairName::MariaDbValkey),
    (Victim::SidecarMysql, PairName::Installed),
    (Victim::SidecarRedis, PairName::Installed),
];

fn main() -> ExitCode {
    let machine = Machine::look();
    let seed = Random::seed();
    let trials = CASES.into_iter().map(|(victim, name)| {
        let pair = match machine.pair(name) {
            Ok(pair) => pair,
            Err(reason) => return skipped(format!("kill_{victim}::{name:?}"), reason),
        };
        let title = format!("kill_{victim}::{pair}");
        Trial::test(title.clone(), move || {
            let plan = Plan {
                pair,
                victim,
                rounds: rounds_wanted(),
                seed,
                verbose: false,
            };
            run(&title, |runtime| {
                let books = runtime.block_on(carry_out(&plan))?;
                println!("{title}: {} rounds, seed {seed}: {books}", plan.rounds);
                Ok(())
            })
        })
    });
    let trials = trials.collect();
    conclude("kill", &machine, trials)
}
