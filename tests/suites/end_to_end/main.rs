//! Purchases end to end: the real binary, real servers, gRPC clients, and both stores read by the
//! judge after each case.

#![allow(clippy::unwrap_used)]

mod advice;
mod audit;
mod bad_input;
mod clock;
mod crashes;
mod deadlines;
mod deductions;
mod doctor;
mod following;
mod helpers;
mod log_apart;
mod log_by_hand;
mod log_folders;
mod log_refused;
mod mysql_is_older;
mod mysql_snapshot;
mod neighbours;
mod operator;
mod orders;
mod outages;
mod preloaded;
mod process;
mod purchases;
mod reading;
mod recover;
mod redis_forgets;
mod refusals;
mod repair;
mod rows;
mod settings;
mod stale_log;
mod stuck;
mod taken_back;

use std::process::ExitCode;

fn main() -> ExitCode {
    tandem_tests::enter_own_mounts();
    let cases = [
        purchases::CASES,
        reading::CASES,
        refusals::CASES,
        neighbours::CASES,
        bad_input::CASES,
        deadlines::CASES,
        crashes::CASES,
        outages::CASES,
        operator::CASES,
        orders::CASES,
        process::CASES,
        repair::CASES,
        rows::CASES,
        advice::CASES,
        stuck::CASES,
        taken_back::CASES,
        audit::CASES,
        deductions::CASES,
        stale_log::CASES,
        log_folders::CASES,
        log_by_hand::CASES,
        recover::CASES,
        log_apart::CASES,
        log_refused::CASES,
        clock::CASES,
        redis_forgets::CASES,
        mysql_is_older::CASES,
        mysql_snapshot::CASES,
        settings::CASES,
        doctor::rights::CASES,
        doctor::planted::CASES,
    ];
    tandem_tests::run_suite("end_to_end", &cases.concat())
}
