//! Where in its file each statement of a configuration stands, for what is found wrong with it later, at the
//! server.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::MysqlSettings;
use tandem_mysql::Position;

/// As much of the daemon's file as has statements.
#[derive(Deserialize)]
pub(super) struct OfDaemon {
    participants: BTreeMap<String, OfSidecar>,
}

/// The same of a sidecar's file, or of one participant.
#[derive(Deserialize)]
pub(super) struct OfSidecar {
    #[serde(default)]
    mysql: Statements,
}

#[derive(Deserialize, Default)]
struct Statements {
    #[serde(default)]
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    sql: Spanned<String>,
}

impl OfDaemon {
    /// Notes them in the settings of a participant.
    pub(super) fn note(&self, text: &str, name: &str, settings: &mut MysqlSettings) {
        if let Some(of_one) = self.participants.get(name) {
            of_one.note(text, settings);
        }
    }
}

impl OfSidecar {
    /// Notes them in the settings.
    pub(super) fn note(&self, text: &str, settings: &mut MysqlSettings) {
        let statements = settings.statements.iter_mut().flatten();
        for (statement, written) in statements.zip(&self.mysql.statements) {
            statement.position = position(text, written.sql.span().start);
        }
    }
}

/// The line and the column at which so many bytes are before.
pub(super) fn position(text: &str, bytes: usize) -> Option<Position> {
    let before = text.get(..bytes)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some(Position {
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
    })
}
