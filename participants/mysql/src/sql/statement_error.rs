//! Which rules the app's statements must keep, and what is said of one that breaks them.

use crate::sql::param::Param;

/// A rule that a configured statement breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum StatementError {
    /// There are none.
    #[error("there must be at least one; leave `statements` out for the default tables")]
    Empty,
    /// Nothing would refuse a purchase that comes a second time.
    #[error(
        "none inserts :purchase_id; without a unique key on it nothing refuses a purchase that is \
         repeated after tandem has forgotten it"
    )]
    NoPurchaseId,
    /// A parameter that there is none of.
    #[error(
        "unknown parameter :{name}; there are {} and :attr.NAME",
        Param::NAMED.map(|(name, _)| format!(":{name}")).join(" ")
    )]
    UnknownParameter { name: String },
    /// An attribute that is not declared.
    #[error(":attr.{name} is not declared: add [attributes.{name}] with its type")]
    UndeclaredAttribute { name: String },
    /// It would be taken literally.
    #[error(":{name} is within {place}, where it would not be replaced")]
    ParameterIn {
        name: String,
        /// Quotes or a comment.
        place: &'static str,
    },
    /// Its value would become one with what is beside it: `x:sku` a hexadecimal literal of it,
    /// `'a':sku` one text with a quote in it.
    #[error(":{0} runs into the word, text or parameter beside it; put a space between them")]
    Adjoins(String),
    /// It has one value per item.
    #[error(":{0} belongs to an item; set per = \"item\"")]
    ItemParameter(String),
    /// Nothing is there.
    #[error("must be one INSERT, UPDATE or DELETE")]
    Verb,
    /// Something that would break a promise.
    #[error("{words} {why}")]
    Forbidden {
        /// What was found.
        words: String,
        /// What it would do, and what to write instead.
        why: Forbidden,
    },
    /// More than one.
    #[error(
        "must be a single statement without ';': write each as one of `statements`, in their order"
    )]
    SeveralStatements,
    /// How many rows it writes is not open.
    #[error(
        "`rows` is for statements that find their rows: an INSERT … VALUES or INSERT … SET writes each \
         row that it spells out, or fails; leave `rows` out"
    )]
    RowsSpelledOut,
    /// The server does not tell how many rows it met.
    #[error(
        "RETURNING keeps the server from telling how many rows were met, and nobody reads what it returns: \
         leave it out (a column of that name goes in backticks), or say rows = \"any\""
    )]
    Returning,
    /// A quote or comment is not closed.
    #[error("{0} is not closed")]
    Unclosed(&'static str),
    /// Its meaning depends on the server's sql_mode.
    #[error("a backslash within quotes means different things to different sql_modes")]
    Backslash,
    /// It is no comment.
    #[error("executable comments and hints are not allowed")]
    ExecutableComment,
}

/// What was found, and how it is written instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// `LAST_INSERT_ID()`, `ROW_COUNT()` and what else tells of the statement before.
    #[error(
        "tells of the statement before it, which writes the rows of many purchases at once, so that lines \
         would go to another's order: keep :purchase_id in the order and let its lines find it, as in \
         INSERT INTO order_lines (order_id, sku) VALUES ((SELECT id FROM orders WHERE purchase_id = :purchase_id), :sku)"
    )]
    OfTheLastStatement,
    /// `ON DUPLICATE KEY UPDATE`
    #[error(
        "would sell a purchase again whose row is there: leave it out, and the repeated purchase is \
         refused; a row that counts something is made beforehand and changed by an UPDATE"
    )]
    OnDuplicateKey,
    /// The verb `REPLACE`.
    #[error("would delete the row of another purchase: write INSERT")]
    Replace,
    /// `INSERT IGNORE`, `UPDATE IGNORE`, `DELETE IGNORE`
    #[error(
        "would turn a refused row into a warning, and units would be sold without it: leave it out, and \
         the purchase is refused"
    )]
    Ignore,
    /// `@name`, `@@name`, `:=`
    #[error(
        "is a variable of a session that many purchases share: write the value itself, a parameter, or a \
         column of a table"
    )]
    Variable,
    /// `GET_LOCK()`, `SLEEP()` and what else waits or is not undone by a roll back.
    #[error(
        "holds up the purchases that share the transaction, and a roll back does not undo it: leave it \
         out; rows are locked by writing them"
    )]
    Waits,
    /// `SKIP LOCKED`
    #[error(
        "leaves out rows that somebody else holds: leave it out, and the purchase waits or is refused"
    )]
    SkipLocked,
    /// `tandem_branches`, `tandem_coordinators`, `tandem_lives`
    #[error("is a table of tandem's own, by which it knows what it has committed: use another")]
    OwnTable,
    /// `INTO OUTFILE`, `INTO DUMPFILE`
    #[error("writes a file that no roll back takes back: write to a table")]
    File,
    /// Another verb, which commits what it is part of, or ends it, or writes nothing.
    #[error(
        "commits or ends what it would be a part of, or writes no row of a purchase: write one INSERT, \
         UPDATE or DELETE (DELETE FROM in place of TRUNCATE, a procedure's statements in place of its \
         CALL), and make tables and locks outside tandem"
    )]
    Verb,
}

/// Which of the app's statements breaks a rule, and which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum StatementsError {
    /// One breaks it by itself.
    #[error("statement {number}: {source}")]
    One {
        /// Its place in the list, from 1.
        number: usize,
        #[source]
        source: StatementError,
    },
    /// They break it together.
    #[error("statements: {0}")]
    Together(#[source] StatementError),
}
