//! A configuration's text with what it takes from outside filled in, each value still at its own place.

use std::borrow::Cow;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::ConfigError;
use super::outside::{self, OutsideError};
use super::overrides::Override;
use super::positions::position;
use super::shown::malformed;

/// Settings of stores that are secrets, and under which name a file is given that holds one.
const SECRETS: [(&str, &str); 2] = [("url", "url_file"), ("password", "password_file")];

/// Shortest value of the environment that is looked for in a message by itself: less is no secret, and
/// found everywhere.
const SOUGHT_BYTES_MIN: usize = 4;

/// A file's text, parsed.
pub(super) struct Source<'t> {
    path: &'t Path,
    text: &'t str,
    table: Spanned<DeTable<'t>>,
    /// What is said in place of the file's; each stands behind the text, at its number.
    overrides: &'t [Override],
    taken: Vec<Taken>,
    /// What is unsafe about it and keeps nobody from using it.
    pub(super) warnings: Vec<String>,
}

/// A value that is not as the file has it, for messages that would tell it.
struct Taken {
    value: SecretString,
    written: String,
}

impl Taken {
    fn new(value: &str, written: String) -> Self {
        Self {
            value: value.into(),
            written,
        }
    }
}

impl<'t> Source<'t> {
    /// Parses the text, puts the overrides in its place, and fills in what the environment and files of secrets
    /// have.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] with the place.
    pub(super) fn parse(
        path: &'t Path,
        text: &'t str,
        overrides: &'t [Override],
    ) -> Result<Self, ConfigError> {
        let mut table =
            DeTable::parse(text).map_err(|error| malformed(path, &error.to_string()))?;
        for (number, one) in overrides.iter().enumerate() {
            let put = one.put_into(table.get_mut(), behind(text) + number);
            put.map_err(|error| {
                malformed(path, &format!("{}: {}", one.origin(), error.message()))
            })?;
        }
        let mut source = Self {
            path,
            text,
            table,
            overrides,
            taken: Vec::new(),
            warnings: Vec::new(),
        };
        if let Err((error, at)) = source.fill_in() {
            let place = match source.overridden(at) {
                Some(origin) => format!("{origin}: "),
                None => position(text, at).map_or_else(String::new, |at| format!("{at}: ")),
            };
            return Err(malformed(path, &format!("{place}{error}")));
        }
        Ok(source)
    }

    /// Who has said, in place of the file, what stands at this place.
    fn overridden(&self, at: usize) -> Option<&str> {
        let number = at.checked_sub(behind(self.text))?;
        self.overrides.get(number).map(Override::origin)
    }

    /// It as a type reads it.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] with the place, without what came from outside.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        T::deserialize(Deserializer::from(self.table.clone())).map_err(|mut error| {
            let at = error.span().map_or(0, |span| span.start);
            let told = match self.overridden(at) {
                Some(origin) => format!("{origin}: {}", error.message()),
                None => {
                    error.set_input(Some(self.text));
                    error.to_string()
                }
            };
            let told = self.taken.iter().fold(told, |told, taken| {
                let value = taken.value.expose_secret();
                let escaped = value.escape_debug().to_string();
                let told = told.replace(value, &taken.written);
                told.replace(&escaped, &taken.written)
            });
            malformed(self.path, &told)
        })
    }

    fn fill_in(&mut self) -> Result<(), (OutsideError, usize)> {
        let text = self.text;
        let taken = &mut self.taken;
        for (_, value) in self.table.get_mut().iter_mut() {
            expand(value, text, taken)?;
        }
        let folder = self.path.parent();
        for store in stores(self.table.get_mut()) {
            for (name, file) in SECRETS {
                let Some(path) = store.remove(file) else {
                    continue;
                };
                let at = path.span();
                let (secret, warning) =
                    put(store, name, file, path, folder).map_err(|error| (error, at.start))?;
                taken.push(Taken::new(&secret, format!("({file})")));
                self.warnings.extend(warning);
            }
        }
        // The longest first, or a short one would leave parts of it.
        self.taken
            .sort_by_key(|taken| std::cmp::Reverse(taken.value.expose_secret().len()));
        Ok(())
    }
}

/// The first place that is none of the text's.
fn behind(text: &str) -> usize {
    text.len() + 1
}

/// The tables of the stores in a daemon's file and in a sidecar's.
fn stores<'a, 't>(file: &'a mut DeTable<'t>) -> Vec<&'a mut DeTable<'t>> {
    let mut found = Vec::new();
    for (key, value) in file.iter_mut() {
        let DeValue::Table(table) = value.get_mut() else {
            continue;
        };
        match key.get_ref().as_ref() {
            "mysql" | "redis" => found.push(table),
            "participants" => {
                let named = table.iter_mut().filter_map(|(_, one)| table_of(one));
                let kinds = named.flat_map(|one| one.iter_mut());
                found.extend(kinds.filter_map(|(_, kind)| table_of(kind)));
            }
            _ => {}
        }
    }
    found
}

fn table_of<'a, 't>(value: &'a mut Spanned<DeValue<'t>>) -> Option<&'a mut DeTable<'t>> {
    match value.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Gives a store the secret that a file holds, at the place where the file is named. Tells it, and a warning.
fn put(
    store: &mut DeTable<'_>,
    name: &'static str,
    file: &'static str,
    path: Spanned<DeValue<'_>>,
    folder: Option<&Path>,
) -> Result<(String, Option<String>), OutsideError> {
    let refuse = |what| OutsideError::NoSecret {
        path: file.to_owned(),
        what,
    };
    let DeValue::String(text) = path.get_ref() else {
        return Err(refuse("must be the path of a file"));
    };
    if store.contains_key(name) {
        return Err(refuse(
            "and the setting that it gives exclude each other: leave one out",
        ));
    }
    let (secret, warning) = outside::secret(text, folder)?;
    let key = Spanned::new(path.span(), Cow::Borrowed(name));
    let value = DeValue::String(Cow::Owned(secret.clone()));
    store.insert(key, Spanned::new(path.span(), value));
    Ok((secret, warning))
}

/// Fills in what the environment has, here and below. With an error, where in the text it is.
fn expand(
    value: &mut Spanned<DeValue<'_>>,
    text: &str,
    taken: &mut Vec<Taken>,
) -> Result<(), (OutsideError, usize)> {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(written) => {
            let told = outside::expanded(written, |name| std::env::var(name));
            let told = told.map_err(|(error, at)| {
                // Escapes may stand before it in the file.
                let named = written[at..].split_inclusive('}').next();
                let raw = text.get(span.clone()).zip(named);
                let raw = raw.and_then(|(raw, named)| raw.find(named));
                (error, span.start + raw.unwrap_or_default())
            })?;
            if !told.variables.is_empty() {
                taken.push(Taken::new(&told.whole, written.to_string()));
            }
            for (name, value) in &told.variables {
                if value.len() >= SOUGHT_BYTES_MIN {
                    taken.push(Taken::new(value, format!("${{{name}}}")));
                }
            }
            *written = Cow::Owned(told.whole);
        }
        DeValue::Array(values) => {
            for value in values.iter_mut() {
                expand(value, text, taken)?;
            }
        }
        DeValue::Table(table) => {
            for (_, value) in table.iter_mut() {
                expand(value, text, taken)?;
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
    Ok(())
}
