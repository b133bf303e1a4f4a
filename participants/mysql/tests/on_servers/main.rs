//! What is specific to MySQL and MariaDB, on real servers of their own.
//!
//! Each check runs on MariaDB, on MySQL as it comes (prepared branches leave their session) and on
//! MySQL with `xa_detach_on_prepare=OFF` (they stay). A server that can't be had is a visible skip.

#![allow(clippy::unwrap_used)]

mod answers;
mod audited;
mod branches;
mod checked;
mod counters;
mod denied;
mod doubt;
mod entries;
mod epochs;
mod held;
mod layouts;
mod lives;
mod mappings;
mod numbers;
mod orders;
mod preflight;
mod proxy;
mod rate;
mod rows;
mod stand;
mod stress;
mod switch;
mod times;
mod variables;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use stand::{Stand, World};

type Run = fn(Stand) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A check and its name.
struct Check {
    name: &'static str,
    run: Run,
    needs: Needs,
}

/// What a check asks of the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A server of its own, since it stops it or changes its global settings.
    OwnServer,
    /// One without a binary log, where a commit from another session and a roll back are lost most
    /// easily.
    NoBinlog,
    /// A server of its own with these arguments besides.
    With(&'static [&'static str]),
    /// A server of its own, and it runs only when asked for.
    OwnServerOnDemand,
}

/// One that rolls the whole branch back when a statement has waited too long for a lock.
const ROLLBACK_ON_TIMEOUT: Needs = Needs::With(&["--innodb-rollback-on-timeout=ON"]);

/// One that says all of itself that it can: MySQL's performance schema is on.
const EVERYTHING_LISTED: Needs = Needs::With(&["--performance-schema=ON"]);

/// Both.
const LISTED_ROLLBACK_ON_TIMEOUT: Needs =
    Needs::With(&["--performance-schema=ON", "--innodb-rollback-on-timeout=ON"]);

/// One that locks the counter of a table in each statement that counts.
const COUNTERS_LOCKED: Needs =
    Needs::With(&["--performance-schema=ON", "--innodb-autoinc-lock-mode=0"]);

/// The same, and it rolls the whole branch back for it.
const COUNTERS_COST_THE_BRANCH: Needs = Needs::With(&[
    "--performance-schema=ON",
    "--innodb-autoinc-lock-mode=0",
    "--innodb-rollback-on-timeout=ON",
]);

/// `checks![needs, room: a, b]` lists the functions of a room by their names.
macro_rules! checks {
    ($needs:expr, $room:ident: $($name:ident),* $(,)?) => {
        vec![$($crate::Check {
            name: stringify!($name),
            run: |stand| Box::pin($room::$name(stand)),
            needs: $needs,
        }),*]
    };
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each check times what it waits for; more at once than cores would only measure the others.
    arguments.test_threads.get_or_insert(2);
    let checks: Vec<Check> = [of_branches(), of_ends(), of_servers()]
        .into_iter()
        .flatten()
        .collect();

    let mut trials = Vec::new();
    for world in World::ALL {
        let world = Arc::new(world.open());
        for check in &checks {
            let run = check.run;
            let needs = check.needs;
            let world = Arc::clone(&world);
            let name = format!("{}::{}", world.label(), check.name);
            let ignored = check.needs == Needs::OwnServerOnDemand || world.skipped();
            trials.push(
                Trial::test(name, move || {
                    stand::run(&world, needs, run).map_err(Failed::from)
                })
                .with_ignored_flag(ignored),
            );
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// One server, and a branch at a time.
fn of_branches() -> Vec<Check> {
    [
        checks![Needs::Nothing, branches:
            a_commit_writes_the_rows_once,
            a_roll_back_leaves_nothing_and_a_late_prepare_is_refused,
            a_roll_back_before_its_prepare_refuses_it_in_the_next_process_too,
            a_repeated_prepare_has_the_same_vote,
            a_running_prepare_is_ended_by_its_roll_back,
            a_prepare_ends_at_its_deadline,
            a_decision_does_not_wait_for_sessions_that_prepares_use,
            foreign_branches_are_listed_and_left_alone,
            a_namesake_in_another_database_is_left_alone,
            a_large_branch_is_whole,
            forgetting_spares_branches_in_doubt_and_those_named,
            a_server_that_is_not_there_is_named,
            a_commit_of_other_entries_than_prepared_is_refused,
        ],
        checks![Needs::Nothing, entries:
            bad_entries_are_refused_and_their_neighbours_kept,
            a_locked_entry_delays_its_neighbours_briefly,
            when_all_are_refused_nothing_stays_prepared,
            a_duplicate_names_the_other_coordinator_that_made_it,
            another_unique_key_is_no_duplicate_purchase,
            one_purchase_twice_is_no_transaction,
            values_survive_every_sql_mode,
            purchases_that_deadlock_are_tried_again,
        ],
        checks![Needs::Nothing, answers:
            any_error_of_an_entry_refuses_it_alone,
            a_value_that_a_column_does_not_take_refuses_its_entry,
            a_duplicate_is_one_of_the_same_bytes,
            what_a_person_must_mend_is_named_and_not_remembered,
            a_server_without_room_for_more_sessions_is_served_by_those_there,
        ],
        checks![Needs::Nothing, orders:
            an_order_is_written_with_all_that_it_carries,
            an_audit_is_shown_all_that_an_order_carries,
            lines_are_of_the_order_whose_key_the_database_made,
            what_the_server_says_of_a_personal_attribute_is_not_told,
            what_can_not_be_written_here_refuses_its_purchase_alone,
        ],
        checks![COUNTERS_LOCKED, orders: lines_are_of_their_order_with_locked_counters],
        checks![Needs::Nothing, rows:
            a_purchase_whose_row_is_not_found_is_refused_alone,
            more_rows_than_there_may_be_refuse_the_purchase,
            a_row_too_many_does_not_make_up_for_one_too_few,
            rows_are_counted_as_documented_in_every_sql_mode,
            an_error_of_the_apps_is_not_taken_for_a_count,
            a_purchase_that_is_there_is_a_duplicate_and_lacks_no_row,
            a_repair_that_does_not_find_its_rows_changes_nothing,
        ],
        checks![Needs::Nothing, times:
            a_row_has_the_time_at_which_its_transaction_began,
        ],
        checks![Needs::OwnServer, times:
            the_time_zone_is_told_until_it_is_said,
        ],
        checks![Needs::OwnServer, numbers:
            any_number_at_any_step_leaves_nothing_half_done,
        ],
        checks![ROLLBACK_ON_TIMEOUT, answers:
            a_locked_entry_that_costs_the_branch_is_refused_alone,
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Doubt, epochs, lives and other servers.
fn of_ends() -> Vec<Check> {
    [
        checks![Needs::Nothing, doubt:
            another_process_commits_after_the_preparer_has_gone,
            another_process_commits_while_the_preparer_is_still_connected,
            a_roll_back_by_hand_is_heuristic,
            a_commit_by_hand_is_heuristic,
            a_branch_that_no_session_can_end_is_stuck,
            a_transaction_never_seen_is_not_taken_for_committed,
        ],
        checks![Needs::NoBinlog, doubt:
            a_roll_back_by_hand_that_a_crash_takes_back_is_committed,
        ],
        checks![Needs::OwnServer, doubt:
            a_restart_of_the_server_keeps_the_vote,
            a_backup_lock_is_busy_and_passes,
            a_read_only_server_is_busy_and_passes,
        ],
        checks![Needs::Nothing, epochs:
            a_stale_coordinator_is_fenced,
            a_prepare_is_fenced_by_the_store_itself,
            enlisting_tells_the_newest_commits_and_waits_for_no_branch,
        ],
        checks![Needs::Nothing, lives:
            a_life_holds_over_processes_and_epochs,
            a_commit_that_the_server_does_not_know_ends_its_life,
            what_may_be_forgotten_is_not_missed,
            a_session_vouches_for_what_was_committed_while_it_was_open,
            a_look_leaves_no_trace,
            marker_rows_tell_what_is_in_their_branches,
            what_is_closed_is_refused_and_forgotten,
        ],
        checks![Needs::OwnServer, lives:
            a_restart_begins_another_life,
            a_server_put_back_in_time_is_noticed_and_asked_for_everything,
        ],
        checks![Needs::OwnServer, layouts:
            old_tables_are_worked_with_until_nothing_is_in_doubt,
            columns_are_added_under_load,
        ],
        checks![Needs::Nothing, layouts:
            an_older_tandem_works_on_the_new_tables,
        ],
        checks![Needs::OwnServer, layouts:
            a_migration_goes_on_from_any_point,
        ],
        checks![Needs::OwnServer, switch:
            a_switch_of_servers_ends_the_use_of_the_first,
            a_switch_back_is_a_switch,
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a server is set to, holds, or does not let.
fn of_servers() -> Vec<Check> {
    [
        checks![Needs::Nothing, preflight:
            missing_tables_are_printed,
            a_user_without_privileges_is_told_which,
            tables_without_transactions_are_found,
            tables_without_transactions_are_found_behind_views_and_triggers,
            what_may_not_be_seen_is_said_not_to_be_looked_at,
            a_column_that_folds_the_case_of_ids_is_found,
            a_table_that_takes_an_id_twice_is_refused,
            lines_find_their_order_by_the_purchases_id,
        ],
        checks![Needs::Nothing, checked:
            a_check_leaves_no_trace,
            statements_that_can_not_run_are_named,
            columns_too_small_for_the_limits_are_told,
        ],
        checks![Needs::Nothing, mappings:
            a_mapping_that_could_break_a_promise_is_told_before_it_is_used,
            a_mapping_that_only_looks_bad_is_taken,
        ],
        checks![Needs::Nothing, audited:
            all_of_the_default_tables_is_compared,
            what_a_column_does_not_keep_as_it_is_is_not_compared,
            rows_whose_id_is_in_another_form_are_not_compared_at_all,
            ids_that_are_numbers_are_compared_by_their_value,
            a_time_is_compared_where_it_is_one_moment,
        ],
        checks![Needs::OwnServer, preflight:
            unsafe_settings_are_refused_unless_accepted,
            settings_that_change_while_running_are_found,
            a_galera_node_is_refused,
        ],
        checks![Needs::NoBinlog, stress:
            no_commit_is_lost_when_preparers_die,
            a_zombie_is_named_and_comes_back_with_a_restart,
        ],
        checks![Needs::OwnServer, denied:
            a_wrong_password_does_not_lock_the_account,
            a_password_that_is_changed_is_named_and_the_account_not_locked,
        ],
        checks![EVERYTHING_LISTED, held:
            a_row_that_is_held_names_its_holder_and_its_neighbours_go_on,
            rows_that_are_held_one_after_another_delay_nobody,
            a_prepared_branch_that_holds_a_row_is_named,
            a_row_of_a_branch_under_way_is_waited_for,
            what_is_merely_slow_is_not_interrupted,
            a_user_who_may_not_look_waits_for_the_lock,
        ],
        checks![COUNTERS_LOCKED, counters:
            a_counter_that_is_held_is_a_lock,
            a_counter_at_its_end_is_for_a_person,
        ],
        checks![COUNTERS_COST_THE_BRANCH, counters:
            a_counter_that_costs_the_branch_is_a_lock,
        ],
        checks![LISTED_ROLLBACK_ON_TIMEOUT, held:
            rows_that_cost_the_branch_delay_nobody,
        ],
        checks![EVERYTHING_LISTED, variables:
            a_server_with_all_its_variables_turned_is_as_any_other,
            each_variable_turned_alone_changes_nothing,
            what_a_lenient_server_would_cut_is_refused,
        ],
        checks![Needs::OwnServerOnDemand, rate:
            prepare_and_commit_per_second,
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}
