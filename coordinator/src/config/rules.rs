//! Rules for single values. A broken one is reported at the value's own line and column.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A text that is parsed by its type's own rule.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    struct Parse<T>(PhantomData<T>);

    impl<T: FromStr<Err: Display>> Visitor<'_> for Parse<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Parse(PhantomData))
}

/// A path that is not empty.
pub(super) fn folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(D::Error::invalid_value(
            Unexpected::Str(""),
            &"the path of a folder",
        ));
    }
    Ok(text.into())
}

/// A whole number from `MIN` to `MAX`.
pub(super) fn count<'de, D, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<usize, D::Error>
where
    D: Deserializer<'de>,
{
    let value = deserializer.deserialize_u64(Between::<MIN, MAX>)?;
    usize::try_from(value).map_err(D::Error::custom)
}

/// A duration of `MIN` to `MAX` whole milliseconds.
pub(super) fn millis<'de, D, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let value = deserializer.deserialize_u64(Between::<MIN, MAX>)?;
    Ok(Duration::from_millis(value))
}

/// A duration of `MIN` to `MAX` whole seconds.
pub(super) fn seconds<'de, D, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let value = deserializer.deserialize_u64(Between::<MIN, MAX>)?;
    Ok(Duration::from_secs(value))
}

struct Between<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for Between<MIN, MAX> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        if (MIN..=MAX).contains(&value) {
            Ok(value)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(value), &self))
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }
}
