//! What is fuzzed.

mod clients;
mod configuration;
mod log;
mod mysql;
mod operators;
mod participants;
mod records;
mod redis;

use prost::Message;

use crate::Target;

/// All targets.
pub fn all() -> Vec<Target> {
    [
        clients::targets(),
        participants::requests(),
        participants::answers(),
        operators::targets(),
        records::targets(),
        log::targets(),
        mysql::targets(),
        redis::targets(),
        configuration::targets(),
    ]
    .concat()
}

/// A message's bytes.
fn bytes(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Decodes a message and hands it on; what is no message is one outcome.
fn message<M: Message + Default>(input: &[u8], then: impl FnOnce(M) -> String) -> String {
    match M::decode(input) {
        Ok(message) => then(message),
        Err(_) => "no message".to_owned(),
    }
}

/// A text without what an input put there: numbers and quoted parts are left out.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut quoted = false;
    for c in text.chars().take(160) {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            c if c.is_ascii_digit() => {
                if !shape.ends_with('#') {
                    shape.push('#');
                }
            }
            c => shape.push(c),
        }
    }
    shape
}

/// The fields of an error such as `entries[3].number: must …`, several joined by `; `.
fn fields(detail: &str) -> String {
    let fields: Vec<String> = detail
        .split("; ")
        .filter_map(|rule| Some(shape(rule.split_once(": ")?.0)))
        .take(4)
        .collect();
    fields.join(" ")
}

/// A count as one of few.
fn few(count: usize) -> &'static str {
    match count {
        0 => "none",
        1 => "one",
        2..=9 => "some",
        _ => "many",
    }
}
