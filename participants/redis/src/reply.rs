//! Reading the scripts' answers: an array that begins with a word.

use redis::{FromRedisValue, Value, from_redis_value};
use tandem_participant::Error;

/// A line of a script's answer: refused entries and debts are tables of text.
pub(crate) type Row = Vec<String>;

/// A script's answer.
pub(crate) struct Reply {
    what: String,
    word: String,
    rest: std::vec::IntoIter<Value>,
}

impl Reply {
    /// `what` was asked for; it begins the errors.
    pub(crate) fn read(what: &str, answer: Vec<Value>) -> Result<Reply, Error> {
        let mut reply = Reply {
            what: what.to_owned(),
            word: String::new(),
            rest: answer.into_iter(),
        };
        reply.word = reply.next()?;
        Ok(reply)
    }

    /// The first word.
    pub(crate) fn word(&self) -> &str {
        &self.word
    }

    /// What comes next.
    pub(crate) fn next<T: FromRedisValue>(&mut self) -> Result<T, Error> {
        self.rest
            .next()
            .and_then(|value| from_redis_value(value).ok())
            .ok_or_else(|| self.unexpected())
    }

    /// A number that comes as text: a Lua number would be cut.
    pub(crate) fn next_number(&mut self) -> Result<u64, Error> {
        let text: String = self.next()?;
        text.parse().map_err(|_| self.unexpected())
    }

    /// Whether something comes next.
    pub(crate) fn has_more(&self) -> bool {
        !self.rest.as_slice().is_empty()
    }

    /// For an answer that no script gives: nothing is known of the outcome.
    pub(crate) fn unexpected(&self) -> Error {
        Error::Unavailable {
            detail: format!(
                "{}: the script's answer {:?} is not understood; does something between tandem \
                 and the server change answers?",
                self.what, self.word
            ),
        }
    }
}
