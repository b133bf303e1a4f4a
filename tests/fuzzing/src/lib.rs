//! Everything that reads what others write, fed with mutated inputs.
//!
//! A target begins with a few good inputs and what earlier runs kept in `corpus/`. Each further
//! input is one of the pool, changed a little; how depends on what the target reads (messages by
//! their fields, replies by their values, texts by lines and words, and all of them by bytes). An
//! input with a new outcome (an error not seen before, a new shape of success) joins the pool, so
//! the outcomes lead deeper without the compiler's instrumentation, which stable Rust lacks. A
//! target panics when a promise is broken, not only where the code does.
//!
//! The same seed gives the same inputs.

mod corpus;
mod lexer;
mod messages;
mod mutate;
mod random;
mod replies;
mod run;
pub mod targets;
mod texts;

pub use corpus::keep;
pub use run::{Failure, Ran, replay, run};

/// How a target's inputs are changed.
#[derive(Debug, Clone, Copy)]
pub enum Grammar {
    /// A protobuf message.
    Message,
    /// Replies of a Redis server, one after the other.
    Replies,
    /// A text; the words that mean something in it.
    Text(&'static [&'static str]),
    /// Bytes.
    Bytes,
}

/// Something that reads what others write.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// For the command line and the corpus.
    pub name: &'static str,
    /// What its inputs are.
    pub grammar: Grammar,
    /// Good inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads an input, gives the shape of what came of it, and panics when a promise is broken.
    pub read: fn(&[u8]) -> String,
}
