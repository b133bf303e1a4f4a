//! The suite that any participant must pass.
//!
//! A participant's test implements [`Bench`] over a store that it started, and runs every one of
//! [`cases`] with [`Case::check`]. The same bench wrapped in [`OverGrpc`] runs the suite through
//! the server and the client, as a sidecar would be reached.

mod auditing;
mod dying;
mod ending;
mod enlisting;
mod knowing;
mod over_grpc;
mod preparing;
mod racing;
mod remembering;
mod repairing;
mod scene;
mod untracked;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tandem_protocol::Entry;

use crate::Participant;

pub use over_grpc::OverGrpc;

/// How long a case may take in all.
pub const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// What a participant's test provides: participants over one store, entries that the store can
/// or can't promise, and a look at the store that does not go through the participant.
///
/// Errors are for a person and fail the case.
#[async_trait]
pub trait Bench: fmt::Debug + Send + Sync + 'static {
    /// A new participant over the same store, as a process that was just started would have it.
    /// A case that needs a restart drops the one before first.
    async fn participant(&self) -> Result<Arc<dyn Participant>, String>;

    /// A new entry with this number that the store can commit, several times over if a faulty
    /// participant were to do so: its purchase id and its skus are its own ([`unique_id`]), its
    /// stock many times its quantity.
    async fn good_entry(&self, number: u32) -> Result<Entry, String>;

    /// A new entry that the store can promise to one transaction at a time: its stock is exactly
    /// its quantity. A store without stock, whose purchase ids are unique, needs nothing more
    /// than a good entry.
    async fn exclusive_entry(&self, number: u32) -> Result<Entry, String> {
        self.good_entry(number).await
    }

    /// A new entry that the store refuses to promise: its stock is less than its quantity, or
    /// its purchase id is there already. Asked only where [`Capability::Refuse`] is offered.
    async fn refusable_entry(&self, number: u32) -> Result<Entry, String> {
        Err(format!("entry {number}: this bench offers no refusals"))
    }

    /// How many times the entry's effect is visible in the store now, by the store's own means:
    /// a count of the purchase's rows, or the units gone from its stock divided by its quantity. Items of skus
    /// that the bench has not made up count for nothing where the store keeps stock.
    async fn effects(&self, entry: &Entry) -> Result<u64, String>;

    /// What else the bench and its participant can do.
    fn offers(&self, capability: Capability) -> bool;

    /// Ends the store at once, as `kill -9` does; returns when it is gone. Asked only where
    /// [`Capability::KillStore`] is offered.
    async fn kill_store(&self) -> Result<(), String> {
        Err("this bench offers no kills".into())
    }

    /// Starts the store again on what it had made durable; returns when it answers.
    async fn start_store(&self) -> Result<(), String> {
        Err("this bench offers no kills".into())
    }
}

/// What a case needs beyond what every bench has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// [`Bench::refusable_entry`].
    Refuse,
    /// The participant commits some of the entries that it prepared and releases the rest, as
    /// one that says `refuses_singly` must.
    CommitPart,
    /// The store keeps stock: [`Participant::stock`] answers.
    KeepStock,
    /// [`Bench::kill_store`] and [`Bench::start_store`].
    KillStore,
}

/// How a case ends; an error says what was expected and what was found.
pub type Verdict = BoxFuture<'static, Result<(), String>>;

/// One rule that a participant keeps.
#[derive(Clone, Copy)]
pub struct Case {
    /// The rule.
    pub name: &'static str,
    /// What its bench must offer.
    pub needs: Option<Capability>,
    /// Whether it begins another life of the store, which others notice.
    disturbs: bool,
    /// Tries it.
    pub run: fn(Arc<dyn Bench>) -> Verdict,
}

impl Case {
    /// Whether the case disturbs others that run at the same time on the same store.
    pub fn runs_alone(&self) -> bool {
        self.disturbs || self.needs == Some(Capability::KillStore)
    }

    /// Runs the case within [`CASE_TIMEOUT`].
    pub async fn check(&self, bench: Arc<dyn Bench>) -> Outcome {
        if let Some(capability) = self.needs
            && !bench.offers(capability)
        {
            return Outcome::Skipped(capability);
        }
        match tokio::time::timeout(CASE_TIMEOUT, (self.run)(bench)).await {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(what)) => Outcome::Failed(what),
            Err(_) => Outcome::Failed(format!("did not end within {CASE_TIMEOUT:?}")),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rule was kept.
    Passed,
    /// The bench does not offer what the case needs.
    Skipped(Capability),
    /// The rule was broken, or could not be tried: what was expected and what was found.
    Failed(String),
}

macro_rules! case {
    ($room:ident::$name:ident, $needs:expr, $disturbs:literal) => {
        Case {
            name: stringify!($name),
            needs: $needs,
            disturbs: $disturbs,
            run: |bench| $room::$name(bench).boxed(),
        }
    };
    ($room:ident::$name:ident alone) => {
        case!($room::$name, None, true)
    };
    ($room:ident::$name:ident needs $capability:ident) => {
        case!($room::$name, Some(Capability::$capability), false)
    };
    ($room:ident::$name:ident) => {
        case!($room::$name, None, false)
    };
}
macro_rules! cases {
    ($($room:ident::$name:ident $($word:ident)*,)*) => {
        vec![$(case!($room::$name $($word)*)),*]
    };
}

/// Every case that a participant must pass.
pub fn cases() -> Vec<Case> {
    cases![
        enlisting::enlist_accepts_a_later_epoch,
        enlisting::enlist_accepts_the_same_instance_again,
        enlisting::enlist_refuses_an_older_epoch,
        enlisting::enlist_refuses_the_same_epoch_of_another_instance,
        enlisting::enlist_refuses_another_log,
        enlisting::commit_from_an_older_epoch_is_fenced,
        enlisting::roll_back_from_an_older_epoch_is_fenced,
        enlisting::forget_from_an_older_epoch_is_fenced,
        knowing::look_knows_nothing_of_a_new_coordinator_and_leaves_nothing,
        knowing::look_tells_the_last_enlistment_and_the_newest_commits,
        knowing::look_changes_nothing,
        knowing::prepare_that_carries_what_was_acknowledged_is_promised,
        knowing::prepare_that_carries_an_unknown_commit_prepares_nothing,
        knowing::prepare_that_carries_more_changes_than_were_made_prepares_nothing,
        knowing::roll_back_is_counted_among_the_changes alone,
        knowing::prepare_for_another_life_prepares_nothing,
        knowing::enlist_that_carries_an_unknown_commit_begins_another_life alone,
        knowing::closed_transactions_are_not_prepared_any_more,
        preparing::prepare_shows_nothing_before_commit,
        preparing::vote_names_the_incarnation_enlisted,
        preparing::repeated_prepare_never_doubles,
        preparing::prepared_entry_is_promised_once,
        preparing::refused_entries_leave_the_others_prepared needs Refuse,
        preparing::all_refused_leaves_nothing_prepared needs Refuse,
        preparing::late_prepare_after_roll_back_votes_no,
        preparing::late_prepare_after_commit_votes_no,
        preparing::prepared_branch_is_listed_until_it_ends,
        preparing::another_coordinators_branch_is_listed_and_untouched,
        preparing::large_transaction_commits_every_entry,
        preparing::stock_tells_value_and_holds needs KeepStock,
        ending::commit_applies_every_entry_once,
        ending::commit_applies_once_when_repeated,
        ending::commit_applies_only_the_entries_that_it_names needs CommitPart,
        ending::commit_of_an_unknown_branch_never_claims_what_is_not_there,
        ending::commit_after_roll_back_never_claims_what_is_not_there,
        ending::roll_back_leaves_nothing,
        ending::roll_back_of_unknown_is_fine,
        ending::roll_back_is_idempotent,
        ending::roll_back_after_commit_is_a_heuristic_error,
        repairing::repair_redoes_a_rolled_back_branch_once,
        repairing::repair_of_a_committed_branch_changes_nothing,
        repairing::repair_of_a_prepared_branch_commits_it,
        repairing::repair_from_an_older_epoch_is_fenced,
        repairing::prepare_after_repair_votes_no,
        auditing::audit_names_what_ended_page_by_page,
        auditing::audit_shows_holds_and_their_sums needs KeepStock,
        auditing::audit_counts_what_was_deducted needs KeepStock,
        auditing::audit_shows_the_rows_of_a_commit,
        remembering::inspect_tells_prepared_committed_rolled_back,
        remembering::newest_committed_names_the_last_commit,
        remembering::newest_committed_keeps_the_newest_of_many,
        remembering::newest_committed_names_no_other_coordinators,
        remembering::forget_keeps_the_excepted,
        remembering::forget_touches_no_other_coordinator,
        remembering::recall_names_what_is_not_committed,
        remembering::recall_from_an_older_epoch_is_fenced,
        remembering::describe_names_the_store,
        remembering::reconnecting_changes_nothing,
        untracked::purchase_with_nothing_tracked_is_promised_and_committed,
        untracked::purchase_with_nothing_tracked_is_rolled_back_and_repaired,
        untracked::untracked_items_stand_beside_tracked_ones,
        racing::commit_applies_once_when_repeated_concurrently,
        racing::contended_entry_is_promised_once,
        racing::roll_back_overtaking_a_prepare_leaves_nothing,
        racing::dropped_prepare_can_be_settled,
        racing::dropped_commit_can_be_settled,
        racing::dropped_roll_back_can_be_settled,
        racing::many_concurrent_transactions_end_exact,
        dying::prepared_branch_is_committed_by_a_new_participant_object,
        dying::prepared_branch_is_rolled_back_by_a_new_participant_object,
        dying::committed_is_known_to_a_new_participant_object,
        dying::prepared_branch_survives_a_killed_store needs KillStore,
        dying::committed_survives_a_killed_store needs KillStore,
        dying::rolled_back_survives_a_killed_store needs KillStore,
        dying::epoch_survives_a_killed_store needs KillStore,
        dying::dead_store_is_unavailable_within_bounded_time needs KillStore,
        dying::store_killed_under_load_ends_exact needs KillStore,
    ]
}

/// The prefix and at most 19 characters of `a-z 0-9 -` that no other call gives, in this process
/// or in one before: a coordinator id, a purchase id, a sku.
pub fn unique_id(prefix: &str) -> String {
    static STARTED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = *STARTED.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // Microseconds stay within a u64 and within ten digits of base 36 until the year 2085.
        let micros = since.unwrap_or_default().as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX) ^ u64::from(std::process::id())
    });
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{}-{}", base36(started), base36(next))
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.extend(char::from_digit(digit, 36));
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.into_iter().rev().collect()
}
