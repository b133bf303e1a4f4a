//! What the exit status of a verb says.

use strum::VariantArray;

use super::{Entry, Group, Text};
use crate::cli::Exit;

pub(super) fn entries() -> Vec<Entry> {
    let exits = Exit::VARIANTS.iter();
    exits
        .map(|exit| {
            let number = *exit as u8;
            Entry::new(Group::Exit, format!("exit {number}"), text(*exit)).also(number.to_string())
        })
        .collect()
}

fn text(exit: Exit) -> Text {
    let (cause, act) = match exit {
        Exit::Done => ("All that was asked was done.", "Nothing."),
        Exit::Negative => (
            "The coordinator refused it, a purchase was refused, an audit found a disagreement, or a configuration \
             has findings.",
            "Read what was printed; `tandem explain` of the code in brackets says more.",
        ),
        Exit::Usage => (
            "A flag, a value or the file is wrong.",
            "Mend what is named; `--help` lists what the verb takes.",
        ),
        Exit::Unreachable => (
            "Nobody listens at `--server` or `--admin`, or a store could not be asked.",
            "See that `tandem serve` runs and that the address is right, then do it again.",
        ),
        Exit::Open => (
            "The deadline passed, the connection broke, or the answer is that the outcome is not known yet.",
            "Ask again: every verb is safe to repeat, a purchase with the same id.",
        ),
        Exit::Incomplete => (
            "Of `tandem audit`: a store was down, the log has forgotten a part of the time, or a column can't be compared.",
            "Mend what NOT COMPARED names, or ask for less.",
        ),
    };
    Text {
        means: exit.meaning(),
        cause,
        act,
    }
}
