//! The file of bearer tokens: who holds one, and what he may do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tandem_protocol::CoordinatorId;

use super::Role;
use super::grant::Grant;
use crate::hex;

/// The least that a token has, in bytes: what is shorter can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// What is said of a table that breaks a rule. It quotes nothing, since what stands at the wrong place may be
/// a token.
const RULE: &str = "must have roles = [...] of \"client\", \"operator\", \"operator_admin\", at a sidecar \
                    coordinators = [...] of ids, and either token = \"...\" of 16 bytes or more, or sha256 = \
                    \"...\", its SHA-256 in 64 hexadecimal digits";

/// The tokens of a file, of which only hashes are kept.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    name: String,
    sha256: [u8; 32],
    grant: Grant,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    roles: BTreeSet<Role>,
    #[serde(default)]
    coordinators: Vec<String>,
    token: Option<String>,
    sha256: Option<String>,
}

impl Tokens {
    /// Reads the text of a file: `[NAME]` for each token.
    ///
    /// # Errors
    /// What is wrong, for a person; never a part of a token.
    pub fn read(text: &[u8]) -> Result<Tokens, String> {
        let text = std::str::from_utf8(text).map_err(|_| "is no UTF-8")?;
        let tables: BTreeMap<String, toml::Value> = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            match before {
                Some(before) => format!("line {} is no TOML", before.split('\n').count()),
                None => "is no TOML".to_owned(),
            }
        })?;
        let tokens = tables
            .into_iter()
            .map(|(name, table)| token(&name, table).ok_or_else(|| format!("[{name}] {RULE}")));
        tokens.collect::<Result<_, _>>().map(Tokens)
    }

    /// Who holds this token, and what he may do. It takes the same time whichever it is.
    pub(super) fn find(&self, token: &[u8]) -> Option<(&str, &Grant)> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.sha256.ct_eq(&hash)) {
                found = Some((token.name.as_str(), &token.grant));
            }
        }
        found
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|token| &token.name);
        f.debug_list().entries(names).finish()
    }
}

/// `None` if the table breaks [`RULE`].
fn token(name: &str, table: toml::Value) -> Option<Token> {
    let table = Table::deserialize(table).ok()?;
    let sha256 = match (table.token, table.sha256) {
        (Some(token), None) if token.len() >= TOKEN_BYTES_MIN => Sha256::digest(token).into(),
        (None, Some(digits)) => hex::bytes(&digits)?.try_into().ok()?,
        _ => return None,
    };
    let coordinators = table.coordinators.iter().map(|id| id.parse().ok());
    let coordinators: BTreeSet<CoordinatorId> = coordinators.collect::<Option<_>>()?;
    // It is given by the coordinators that it is for.
    if table.roles.contains(&Role::Participant) {
        return None;
    }
    Some(Token {
        name: name.to_owned(),
        sha256,
        grant: Grant::new(table.roles, coordinators),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn token_is_found_by_itself_or_by_its_hash() {
        let hash = hex::digits(&Sha256::digest("0123456789abcdef"));
        let text = format!(
            "[web]\nroles = [\"client\"]\nsha256 = \"{hash}\"\n[probe]\ntoken = \"fedcba9876543210\"\n"
        );
        let tokens = Tokens::read(text.as_bytes()).unwrap();
        let (name, grant) = tokens.find(b"0123456789abcdef").unwrap();
        assert_eq!(
            (name, grant.has(Role::Client), grant.has(Role::Operator)),
            ("web", true, false)
        );
        let (name, grant) = tokens.find(b"fedcba9876543210").unwrap();
        assert_eq!((name, grant.has(Role::Client)), ("probe", false));
        for unknown in ["", "0123456789abcde", "0123456789abcdeF", &hash] {
            assert!(tokens.find(unknown.as_bytes()).is_none(), "{unknown:?}");
        }
        assert_eq!(format!("{tokens:?}"), r#"["probe", "web"]"#);
    }

    #[test]
    fn no_error_has_a_part_of_a_token() {
        for text in [
            "[web]\ntoken = \"hunter2hunter2hunter2",
            "[web]\nroles = \"hunter2hunter2hunter2\"\n",
            "[web]\nroles = [\"hunter2hunter2hunter2\"]\ntoken = \"0123456789abcdef\"\n",
            "[web]\nsha256 = \"hunter2hunter2hunter2\"\n",
            "[web]\ntoken = \"hunter2\"\n",
            "[web]\nroles = [\"participant\"]\ntoken = \"hunter2hunter2hunter2\"\n",
            "web = \"hunter2hunter2hunter2\"\n",
        ] {
            let refusal = Tokens::read(text.as_bytes()).unwrap_err();
            assert!(!refusal.contains("hunter2"), "{refusal}");
            assert!(
                refusal.contains("line 2") || refusal.contains("[web]"),
                "{refusal}"
            );
        }
    }
}
