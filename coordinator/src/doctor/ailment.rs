//! What is found that no participant tells: a closed list.

/// How much it keeps a coordinator from its work, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Severity {
    /// Nobody is kept from anything by it.
    Told,
    /// The configuration accepts it.
    Accepted,
    /// It could not be looked at.
    Unasked,
    /// Decided purchases may be lost or blocked, or none be taken.
    Unsafe,
    /// No coordinator can start with it.
    Refused,
}

/// What is found on the machine, or by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Ailment {
    /// A store's clock and this machine's are apart.
    ClockDiffers,
    /// A listener's address can't be had.
    PortTaken,
    /// The log's folder has too little room.
    NoRoom,
    /// The log's folder can't be used.
    FolderRefused,
    /// The log's folder does not outlive a restart of the machine.
    LogInMemory,
    /// The log can't be read.
    LogDamaged,
    /// A file with a secret is open to others.
    SecretOpen,
    /// A statement of the configuration can't run at its store, or a table is missing.
    StatementRefused,
    /// A trial transaction did not end as it was told.
    TrialFailed,
    /// A store could not be asked.
    NotAsked,
}

impl Ailment {
    pub(crate) fn severity(self) -> Severity {
        match self {
            Ailment::ClockDiffers | Ailment::SecretOpen => Severity::Told,
            Ailment::NotAsked => Severity::Unasked,
            Ailment::PortTaken
            | Ailment::NoRoom
            | Ailment::FolderRefused
            | Ailment::LogInMemory
            | Ailment::TrialFailed => Severity::Unsafe,
            Ailment::LogDamaged | Ailment::StatementRefused => Severity::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::manual;

    #[test]
    fn manual_lists_them_with_their_severity() {
        let rows = manual::rows("The doctor");
        for ailment in Ailment::VARIANTS {
            let name = format!("`{}`", ailment.as_ref());
            let row = rows.iter().find(|row| row[0].contains(&name));
            let row = row.unwrap_or_else(|| panic!("{name} is not listed"));
            assert_eq!(row[1], ailment.severity().as_ref(), "{name}");
        }
    }
}
