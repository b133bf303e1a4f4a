//! What a person sees who does not know a code yet, and where to look first.

/// Something that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Symptom {
    pub(crate) seen: &'static str,
    /// What to look at, one after the other.
    pub(crate) steps: &'static [&'static str],
}

impl Symptom {
    /// All that are told of, the most urgent first.
    pub(crate) const ALL: &'static [Symptom] = &[
        Symptom {
            seen: "Customers can't buy: `UNAVAILABLE`, `PARTICIPANT_UNAVAILABLE`",
            steps: &[
                "`tandem participants` says which store is down, and what was tried.",
                "\"UNSAFE, refused\" below the table is a finding: mend it or accept it; `tandem explain` of its name.",
                "ACCESS_DENIED: mend the account at the store, then `tandem participants retry NAME`.",
                "\"being asked what it remembers\", \"to be carried out (again) first\": the store has lost something and \
                 gets it back; wait.",
            ],
        },
        Symptom {
            seen: "Customers wait, and then hear `DEADLINE_EXCEEDED`",
            steps: &[
                "`tandem participants`: how many purchases wait, how many of them apart.",
                "Many wait, none apart: `tandem tx list`. Mostly `preparing`: a store is slow. Mostly `deciding`: the disk \
                 of data_dir is. Mostly `committing`: a store has stopped answering since.",
                "Many wait apart: somebody holds a row that they all need; LOCKED names who.",
                "Clients ask again with the same id, which is safe.",
            ],
        },
        Symptom {
            seen: "One customer or one sku can't be sold: `LOCKED` again and again",
            steps: &[
                "The answer's detail names the session, user and host that hold the row, where tandem's user may read it.",
                "End that session at MySQL (`KILL ID`), or the branch that holds it: `tandem tx list --in-doubt`.",
                "If nobody is named and nothing is in doubt, see \"Rights and sessions\" in the operator's manual.",
            ],
        },
        Symptom {
            seen: "`INSUFFICIENT_STOCK` although there is stock",
            steps: &[
                "`tandem stock SKU`: available is stock less what is held.",
                "Holds of transactions that are under way end by themselves; `tandem tx show` of one that does not.",
                "Holds of nobody: `tandem audit` names HOLD_LEFT or HELD_SUM_WRONG with what to do.",
            ],
        },
        Symptom {
            seen: "An order is there and its units are not deducted, or the other way round",
            steps: &[
                "`tandem purchase get ID`: its transaction; `tandem tx show` of that: what each store has.",
                "\"committing\" or \"not everywhere yet\": a store is still to be told; `tandem participants`.",
                "heuristic: somebody ended the branch by hand; `tandem tx repair`.",
                "Not known to tandem: somebody else wrote the row. `tandem audit --last 1h` says what else differs.",
            ],
        },
        Symptom {
            seen: "Transactions stay in `tandem tx list`",
            steps: &[
                "`tandem tx list --heuristic`: what ended against its decision and waits for a repair.",
                "`tandem tx show ID`: \"WHAT IT MEANS\" says of each branch what to do.",
                "A store that is down: mend it; nothing else is needed.",
            ],
        },
        Symptom {
            seen: "`tandem audit` exits with 1",
            steps: &[
                "Each disagreement is printed with what it means and what mends it; `tandem explain` of its name says how \
                 it comes about.",
                "Mend one of each kind first and audit again.",
            ],
        },
        Symptom {
            seen: "`tandem audit` exits with 5",
            steps: &[
                "Nothing disagrees, and NOT COMPARED says what could not be compared.",
                "A store that was down: `tandem participants`, then audit again. NOT_AUDITED: `tandem explain \
                 NOT_AUDITED`.",
            ],
        },
        Symptom {
            seen: "`tandem serve` does not start: the log is an old copy, or another log",
            steps: &[
                "Don't delete anything, and don't start on another copy to try.",
                "`tandem log inspect DIR OTHER` says which of two folders knows more. Start on the newest.",
                "See \"A stale or damaged log\" in the operator's manual.",
            ],
        },
        Symptom {
            seen: "`tandem serve` does not start: the log is damaged",
            steps: &[
                "Keep the folder as it is.",
                "`tandem log inspect DIR` prints what can be read, and what is to be done by hand.",
                "No room, too many open files, a right that is missing: that is no damage; mend it and start again.",
            ],
        },
        Symptom {
            seen: "`tandem serve` does not start: the log is in use",
            steps: &[
                "A coordinator runs on it already: `tandem participants` answers if so.",
                "Only one may. If it is to be replaced, end that one (SIGTERM) and start again.",
            ],
        },
        Symptom {
            seen: "The coordinator's machine or its log is gone",
            steps: &[
                "Start nothing with an empty folder under the same id: the stores refuse it.",
                "`tandem recover --look --config FILE` asks both stores what they hold and says of each transaction what \
                 is to become of it and why, with the exact statements; `tandem explain` of the word in capitals.",
                "What it says that it can't know is a person's to choose: compare the rows and the shelf.",
                "When nothing is prepared any more: a new coordinator.id and an empty data_dir.",
            ],
        },
        Symptom {
            seen: "`tandem serve` ended by itself",
            steps: &[
                "Its last line on stderr says why: a force of the log failed, or it was fenced by a newer coordinator.",
                "No room on the log's disk: make room and start it again; what was decided is carried out then.",
                "FENCED: another coordinator of this id runs. Find out which is to run, before either is started again.",
            ],
        },
        Symptom {
            seen: "A store was restored from a backup, or failed over",
            steps: &[
                "`tandem participants` says how many commits it had lost, how many were carried out again, what is owed.",
                "MySQL: `tandem tx list --heuristic`, then `tandem tx repair --all --reason TEXT`.",
                "\"past the log's memory\": compare those by hand.",
                "Then `tandem audit`.",
            ],
        },
        Symptom {
            seen: "A row stays locked, or units stay held, and no transaction is in `tandem tx list`",
            steps: &[
                "`tandem participants` names branches that are prepared and not this coordinator's.",
                "`tandem tx show` takes what `XA RECOVER` or `tandem:prepared` lists, and says whose it is.",
                "Nobody's any more: \"Ending a branch by hand\" in the operator's manual.",
            ],
        },
    ];
}
