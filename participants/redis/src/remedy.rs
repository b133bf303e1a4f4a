//! What mends each finding, as a person is to write it: one without an answer here does not compile.

use tandem_participant::Remedy;

use crate::danger::Danger;

/// What mends a finding; nothing where only a person knows.
pub(crate) fn of(danger: &Danger, user: &str, rights: &[String]) -> Vec<Remedy> {
    let command = |text: String| vec![Remedy::Statement(text)];
    let set = |text: &str| command(format!("CONFIG SET {text}"));
    match danger {
        Danger::AppendfsyncNotAlways(_) => set("appendfsync always"),
        Danger::NoAof => set("appendonly yes"),
        Danger::NoFsyncOnRewrite => set("no-appendfsync-on-rewrite no"),
        Danger::Eviction(_) => set("maxmemory-policy noeviction"),
        Danger::AofNotRewritten(_) => command("BGREWRITEAOF".to_owned()),
        Danger::SettingsUnreadable(_) => command(format!("ACL SETUSER {user} +info +config|get")),
        Danger::RightMissing(_) => rights.iter().cloned().map(Remedy::Statement).collect(),
        Danger::Replica(_) => vec![Remedy::Setting(
            "url = \"redis://USER:PASSWORD@PRIMARY/\"".into(),
        )],
        Danger::StockNotCounted => vec![Remedy::Setting("count_in_hash = true".into())],
        Danger::VersionTooOld(_) | Danger::Cluster => Vec::new(),
    }
}
