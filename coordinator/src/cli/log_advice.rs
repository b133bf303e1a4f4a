//! What must be done, as far as a log's folder alone can tell.

use std::fmt::Write;

use tandem_protocol::{CoordinatorId, ParticipantName};

use super::log_replayed::Replayed;
use crate::config::{ParticipantSettings, Participants};

/// About a log that is damaged.
pub(super) fn of_damage() -> String {
    format!(
        "\
        Put back all of what this coordinator last ran on, if there is a copy of just that, and start \
        `tandem serve` on it.\n\
        If there is none, start nothing on this folder. What is listed above is decided: carry it out by hand \
        at each store, as it says. Roll nothing back because it is not listed: a decision may be among what \
        is lost. {BY_HAND} Commit everywhere what one store has committed, or what all have prepared; roll \
        back what one has neither prepared nor committed. {GO_ON}\n"
    )
}

/// How a person ends what no log can decide on.
const BY_HAND: &str = "Then ask each store what it has prepared, and the others about that, as the operator's \
    manual says under \"Ending a branch by hand\" (`coordinator/docs/operator.md`).";

/// How a coordinator goes on without a log.
pub(super) const GO_ON: &str = "When nothing is prepared any more, go on with a new coordinator.id and an empty \
    folder, as the manual says under \"A stale or damaged log\".";

/// About one log, of which nobody can say from its folder whether it is the newest copy.
pub(super) fn of_one(replayed: &Replayed, participants: Option<&Participants>) -> String {
    let coordinator = &replayed.coordinator;
    let epoch = replayed.epoch.unwrap_or_default();
    let mut advice = String::from(if replayed.unfinished.is_empty() {
        "Nothing that is decided here is left to be carried out.\n"
    } else {
        "What is listed above is decided, whichever copy of the log this is, and is to be carried out.\n"
    });
    let _ = writeln!(
        advice,
        "If {coordinator} last ran on this very folder, which is no copy: `tandem serve` on it carries on \
         by itself."
    );
    let _ = write!(
        advice,
        "If it is a copy, or nobody knows: this folder can't say whether it is the newest, the stores can. \
         Start nothing on it, and roll nothing back by it, before they have been asked:\n{}",
        ask_stores(coordinator, &replayed.stores, participants)
    );
    let _ = writeln!(
        advice,
        "It is an old copy if one of them tells of an epoch above {epoch}, or of a commit that `--records` \
         does not show: then do nothing by it, and look for the newest folder (`tandem log inspect DIR \
         OTHER` compares two). If all that they tell is here, a prepared branch of {coordinator} that \
         `--records` does not show decided has no stored decision, which means abort: it is to be rolled \
         back, as `tandem serve` would."
    );
    if let Some(first) = &replayed.first {
        let _ = writeln!(
            advice,
            "What was before {first} is forgotten: this log can't say what became of it, and \
             nothing may be rolled back by that.",
        );
    }
    advice
}

/// What each store is to be asked, a line each.
pub(super) fn ask_stores<'a>(
    coordinator: &CoordinatorId,
    stores: impl IntoIterator<Item = &'a ParticipantName>,
    participants: Option<&Participants>,
) -> String {
    let mut lines = String::new();
    for name in stores {
        let mysql = || tandem_mysql::newest_by_hand(coordinator, name);
        let redis = || tandem_redis::newest_by_hand(coordinator, name);
        let kind = participants.and_then(|participants| participants.get(name));
        let how = match kind {
            Some(ParticipantSettings::Mysql(_)) => mysql(),
            Some(ParticipantSettings::Redis(_)) => redis(),
            Some(ParticipantSettings::Sidecar(_)) | None => {
                format!("MySQL: {}. Redis: {}", mysql(), redis())
            }
        };
        let _ = writeln!(lines, "  at {name}: {how}");
    }
    lines
}
