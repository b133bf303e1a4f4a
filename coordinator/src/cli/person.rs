//! Who changes something by hand, why, and whether he means it.

use std::io::{self, BufRead, IsTerminal};

use super::VerbFailure;
use super::output;

const REASON_CHARS_MAX: usize = 1_000;
const OPERATOR_CHARS_MAX: usize = 100;

/// The operator that was named, or who the environment says it is.
pub(super) fn or_default(named: Option<&str>) -> Result<String, VerbFailure> {
    match named {
        Some(operator) => Ok(operator.to_owned()),
        None => default_operator(|name| std::env::var(name).ok()),
    }
}

/// Asks on the terminal after a preview, unless `yes` says that it is meant. `done` is what would
/// be done: "recorded".
pub(super) fn confirm(yes: bool, done: &str, question: &str) -> Result<(), VerbFailure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(VerbFailure::Negative(format!(
            "nothing was {done}: this was the preview. Without a terminal to ask on, add --yes to \
             have it {done}."
        )));
    }
    output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(anyhow::Error::from)?;
    if is_yes(&answer) {
        Ok(())
    } else {
        Err(VerbFailure::Negative(format!("nothing was {done}")))
    }
}

fn default_operator(variable: impl Fn(&str) -> Option<String>) -> Result<String, VerbFailure> {
    ["SUDO_USER", "USER"]
        .into_iter()
        .filter_map(variable)
        .find(|name| operator(name).is_ok())
        .ok_or_else(|| {
            VerbFailure::Usage(
                "neither $SUDO_USER nor $USER says who you are; name yourself with --operator"
                    .to_owned(),
            )
        })
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    of_length(text, REASON_CHARS_MAX)
}

pub(super) fn operator(text: &str) -> Result<String, String> {
    of_length(text, OPERATOR_CHARS_MAX)
}

fn of_length(text: &str, chars_max: usize) -> Result<String, String> {
    let text = text.trim();
    if (1..=chars_max).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {chars_max} characters"))
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        for answer in ["y\n", "Y\n", "yes\n", " YES \n"] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "yep\n", "no y\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }

    #[test]
    fn operator_is_the_person_behind_sudo() {
        let both = |name: &str| match name {
            "SUDO_USER" => Some("ada".to_owned()),
            _ => Some("root".to_owned()),
        };
        assert_eq!(default_operator(both).expect("known"), "ada");
        let user = |name: &str| (name == "USER").then(|| "bob".to_owned());
        assert_eq!(default_operator(user).expect("known"), "bob");
        let error = default_operator(|_| None).expect_err("nobody");
        assert!(error.to_string().contains("--operator"));
    }

    #[test]
    fn reason_is_bounded() {
        assert!(reason("  ").is_err());
        assert!(reason(&"x".repeat(1_001)).is_err());
        assert_eq!(
            reason(" dba rolled it back "),
            Ok("dba rolled it back".to_owned())
        );
    }
}
