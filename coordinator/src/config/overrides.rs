//! Settings that the command line and the environment say in place of the file's.

use std::str::FromStr;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// What the names of variables begin with that are settings.
const VARIABLES: &str = "TANDEM_";

/// What stands in such a name for the point between two parts of a key. One without it is no setting.
const POINT: &str = "__";

/// One setting, said outside of the file.
#[derive(Debug, Clone)]
pub struct Override {
    /// Who says it, for messages.
    origin: String,
    /// As a file would have it: `limits.sweep_interval_s = 10`.
    line: String,
}

impl FromStr for Override {
    type Err = String;

    /// `KEY=VALUE`, as `--set` takes it. A password is refused: whoever lists the machine's processes sees it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or("a setting is KEY=VALUE, as in limits.sweep_interval_s=10")?;
        let (key, value) = (key.trim(), value.trim());
        let name = key.rsplit('.').next().unwrap_or_default();
        let is_url = name == "url" && tandem_participant::address::has_password(value);
        if name == "password" || is_url {
            return Err(
                "a password here is seen by whoever lists the processes: use password_file or url_file"
                    .into(),
            );
        }
        let line = line(key, value);
        match line.parse::<Table>() {
            Ok(_) => Ok(Override {
                origin: format!("--set {key}"),
                line,
            }),
            Err(_) => Err(format!("{key:?} is no key, as limits.sweep_interval_s is")),
        }
    }
}

impl Override {
    /// Those of the environment: `TANDEM_LIMITS__SWEEP_INTERVAL_S`.
    pub(crate) fn of_environment() -> Vec<Override> {
        let mut found: Vec<Override> = std::env::vars_os()
            .filter_map(|(name, value)| Self::of_variable(name.to_str()?, value.to_str()?))
            .collect();
        found.sort_by(|a, b| a.origin.cmp(&b.origin));
        found
    }

    fn of_variable(name: &str, value: &str) -> Option<Override> {
        let parts = name.strip_prefix(VARIABLES)?;
        parts.contains(POINT).then(|| Override {
            origin: name.to_owned(),
            line: line(&parts.replace(POINT, ".").to_lowercase(), value),
        })
    }

    /// Who says it, for messages.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Puts it into a file's tables in place of what is there, as if it stood at `at` of its text.
    ///
    /// # Errors
    /// Where its name is no key.
    pub(super) fn put_into<'t>(
        &'t self,
        file: &mut DeTable<'t>,
        at: usize,
    ) -> Result<(), toml::de::Error> {
        merge(file, DeTable::parse(&self.line)?.into_inner(), at);
        Ok(())
    }

    /// The same of tables without places.
    pub(crate) fn put_into_table(&self, file: &mut Table) {
        // One that can't be read was refused before.
        merge_tables(file, self.line.parse().unwrap_or_default());
    }
}

/// A value that is none as TOML has it is a text.
fn line(key: &str, value: &str) -> String {
    let plain = format!("{key} = {value}");
    match plain.parse::<Table>() {
        Ok(_) => plain,
        Err(_) => format!("{key} = {}", Value::from(value)),
    }
}

fn merge<'t>(into: &mut DeTable<'t>, from: DeTable<'t>, at: usize) {
    for (key, value) in from {
        let key = Spanned::new(at..at, key.into_inner());
        match (into.get_mut(&key).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(into)), DeValue::Table(from)) => merge(into, from, at),
            (_, value) => drop(into.insert(key, placed(value, at))),
        }
    }
}

/// The value as if all of it stood at one place.
fn placed(value: DeValue<'_>, at: usize) -> Spanned<DeValue<'_>> {
    let value = match value {
        DeValue::Table(from) => {
            let mut table = DeTable::new();
            merge(&mut table, from, at);
            DeValue::Table(table)
        }
        DeValue::Array(mut array) => {
            for one in array.iter_mut() {
                *one = placed(one.get_ref().clone(), at);
            }
            DeValue::Array(array)
        }
        plain => plain,
    };
    Spanned::new(at..at, value)
}

fn merge_tables(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge_tables(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn settings_are_read_from_the_command_line_and_the_environment() {
        let line = |text: &str| text.parse::<Override>().map(|one| one.line);
        for (said, read) in [
            ("limits.sweep_interval_s=10", "limits.sweep_interval_s = 10"),
            (
                "coordinator.listen = 127.0.0.1:1",
                "coordinator.listen = \"127.0.0.1:1\"",
            ),
            ("a.accept=[\"NO_AOF\"]", "a.accept = [\"NO_AOF\"]"),
            ("a.url=redis://u@h", "a.url = \"redis://u@h\""),
        ] {
            assert_eq!(line(said).unwrap(), read);
        }
        for (said, why) in [
            ("limits", "KEY=VALUE"),
            ("a b=1", "no key"),
            ("participants.m.mysql.password=hunter2", "password_file"),
            ("participants.m.mysql.url=mysql://u:hunter2@h/d", "url_file"),
        ] {
            let error = line(said).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
        let variable = Override::of_variable("TANDEM_PARTICIPANTS__STOCK__REDIS__URL_FILE", "/a b");
        assert_eq!(
            variable.unwrap().line,
            "participants.stock.redis.url_file = \"/a b\""
        );
        assert!(Override::of_variable("TANDEM_ADMIN", "x").is_none());
        assert!(Override::of_variable("OTHER__A", "x").is_none());
    }
}
