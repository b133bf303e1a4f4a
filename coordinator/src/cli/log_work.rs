//! What is to be done at each store about a transaction that a log shows unfinished.

use tandem_protocol::{ParticipantName, TransactionState, TransactionView};

use crate::config::{ParticipantSettings, Participants};

/// What is to be done about a transaction at each of its participants.
pub(super) fn of(
    view: &TransactionView,
    participants: Option<&Participants>,
) -> Vec<(ParticipantName, String)> {
    use tandem_protocol::BranchProgress::{Ended, Heuristic, Settled};
    let kind = |name| participants.and_then(|participants| participants.get(name));
    view.branches
        .iter()
        .map(|branch| {
            let name = &branch.participant;
            let text = match (&branch.progress, view.state) {
                (Settled(word), _) => format!("settled by {}: {}", word.operator, word.reason),
                (Ended, _) => "done".into(),
                (Heuristic(_), TransactionState::Committing) => format!(
                    "{}; `tandem tx repair` once the coordinator runs, or mend it by hand, \
                     then `tandem tx settle`",
                    branch.last_failure
                ),
                (Heuristic(_), _) => format!(
                    "{}; mend it by hand, then `tandem tx settle`",
                    branch.last_failure
                ),
                (_, TransactionState::Committing) if branch.repair.is_some() => {
                    "redo it from the decision, as an operator has ordered: the coordinator does \
                     when it runs"
                        .into()
                }
                (_, TransactionState::Committing) => {
                    let (id, entries) = (&view.id, &view.entries);
                    let begun = tandem_mysql::Begun {
                        transaction: id,
                        time: view.begin_time,
                    };
                    let mysql = |own| tandem_mysql::commit_by_hand(own, begun, name, entries);
                    let redis = |own| tandem_redis::commit_by_hand(own, id, name, entries);
                    match kind(name) {
                        Some(ParticipantSettings::Mysql(own)) => mysql(Some(own)),
                        Some(ParticipantSettings::Redis(own)) => redis(Some(own)),
                        Some(ParticipantSettings::Sidecar(_)) | None => format!(
                            "commit. MySQL, with the default tables: {}. Redis, with stock in keys of its \
                             own: {}",
                            mysql(None),
                            redis(None)
                        ),
                    }
                }
                (_, _) => "roll back".into(),
            };
            (name.clone(), text)
        })
        .collect()
}
