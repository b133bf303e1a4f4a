//! The least that tandem's user must be allowed at the server.

use std::collections::BTreeSet;

use tandem_participant::Error;

use crate::connection::Connection;
use crate::place::StockPlace;
use crate::reply::Reply;
use crate::scripts;
use crate::settings::{Settings, SettingsError};

/// What the scripts use, and what is asked without one. A test compares it with the scripts.
const IN_SCRIPTS: [&str; 36] = [
    "del",
    "exists",
    "get",
    "hdel",
    "hget",
    "hgetall",
    "hincrby",
    "hlen",
    "hmget",
    "hscan",
    "hset",
    "mget",
    "mset",
    "sadd",
    "set",
    "sismember",
    "smembers",
    "time",
    "type",
    "zadd",
    "zcard",
    "zmscore",
    "zrange",
    "zrangebylex",
    "zrem",
    "zrevrange",
    "zscore",
    // Of stock in keys; those of fields are below.
    "pexpireat",
    "pexpiretime",
    // What carries the scripts, and what is sent beside them.
    "evalsha",
    "script|load",
    "info",
    "config|get",
    "bgrewriteaof",
    "multi",
    "exec",
];

/// What is used where fields may expire, from Redis 7.4 and Valkey 9 on.
const OF_FIELDS: [&str; 2] = ["hpexpireat", "hpexpiretime"];

/// Commands that no script runs, each as it is asked about.
const SENT: [(&str, &str); 7] = [
    ("ping", "PING"),
    ("script|load", "SCRIPT LOAD x"),
    ("info", "INFO"),
    ("config|get", "CONFIG GET appendonly"),
    ("bgrewriteaof", "BGREWRITEAOF"),
    // An audit sees stocks and their counts at one moment.
    ("multi", "MULTI"),
    ("exec", "EXEC"),
];

/// The user of a connection that names none.
const DEFAULT_USER: &str = "default";

/// What a user of tandem's own is called where the url names none.
const OWN_USER: &str = "tandem";

/// The least for one user.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    user: String,
    /// Patterns, as an ACL takes them.
    keys: Vec<String>,
    commands: BTreeSet<&'static str>,
    has_fields: bool,
}

impl Rights {
    pub(crate) fn new(
        user: &str,
        prefix: &str,
        place: &StockPlace,
        more: impl IntoIterator<Item = &'static str>,
    ) -> Rights {
        let (stock, _) = place.key_and_field("*", "*");
        let own = literal(prefix);
        let keys = vec![
            format!("~{own}*"),
            format!("~witness:{own}*"),
            format!("~{stock}"),
        ];
        let has_fields = !matches!(place, StockPlace::Keys(_));
        let of_place = |command: &&str| !(has_fields && command.starts_with("pexpire"));
        let commands = IN_SCRIPTS.into_iter().filter(of_place);
        Rights {
            user: user.to_owned(),
            keys,
            commands: commands.chain(["ping"]).chain(more).collect(),
            has_fields,
        }
    }

    /// The command that gives a user of tandem's own these rights and no others, and leaves its password. The
    /// default user is the app's too, and would be left without the app's rights.
    fn line(&self) -> String {
        let user = match self.user.as_str() {
            DEFAULT_USER => OWN_USER,
            user => user,
        };
        let all = self.all();
        format!("ACL SETUSER {user} on resetchannels resetkeys nocommands {all}")
    }

    /// The command that adds these rights to those that the user has.
    pub(crate) fn addition(&self) -> String {
        format!("ACL SETUSER {} {}", self.user, self.all())
    }

    fn all(&self) -> String {
        let commands: Vec<String> = self.commands.iter().map(|one| format!("+{one}")).collect();
        format!("{} {}", self.keys.join(" "), commands.join(" "))
    }

    /// The command for what only later servers have, if it is needed.
    pub(crate) fn line_of_fields(&self) -> Option<String> {
        let commands = OF_FIELDS.map(|one| format!("+{one}")).join(" ");
        let line = format!("ACL SETUSER {} {commands}", self.user);
        self.has_fields.then_some(line)
    }

    /// Those of its commands that are sent as they are and that the user may not run.
    pub(crate) async fn missing(&self, connection: &Connection) -> Result<Vec<&str>, Error> {
        let what = "asking for the user's rights";
        let mut call = scripts::RIGHTS.prepare_invoke();
        let mut asked = SENT.to_vec();
        for (command, example) in [
            ("wait", "WAIT 1 1"),
            ("waitaof", "WAITAOF 1 1 1"),
            ("select", "SELECT 0"),
        ] {
            if self.commands.contains(command) {
                asked.push((command, example));
            }
        }
        for (_, example) in &asked {
            call.arg(*example);
        }
        let limit = connection.response_timeout();
        let mut reply = Reply::read(what, connection.script(what, limit, &call).await?)?;
        if reply.word() != "ASKED" {
            return Err(reply.unexpected());
        }
        let mut missing = Vec::new();
        while reply.has_more() {
            let refused: String = reply.next()?;
            let named = asked.iter().find(|(_, example)| *example == refused);
            missing.extend(named.map(|(command, _)| *command));
        }
        Ok(missing)
    }
}

/// A text that a pattern takes for itself (Redis, `util.c`, `stringmatchlen`).
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "*?[]\\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl Settings {
    /// The least that the url's user must be allowed, as commands of `redis-cli`; the last only where the server
    /// knows its commands.
    ///
    /// # Errors
    /// Where the settings can't work.
    pub fn grants(&self) -> Result<Vec<String>, SettingsError> {
        let rights = self.rights()?;
        let lines = [Some(rights.line()), rights.line_of_fields()];
        Ok(lines.into_iter().flatten().collect())
    }

    pub(crate) fn rights(&self) -> Result<Rights, SettingsError> {
        let entrance = self.entrance()?;
        let wait = self
            .wait()
            .map(|wait| if wait.aof { "waitaof" } else { "wait" });
        let select = (entrance.database() != 0).then_some("select");
        let place = self.stock_place()?;
        let more = wait.into_iter().chain(select);
        Ok(Rights::new(entrance.user(), &self.key_prefix, &place, more))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_command_of_the_scripts_is_granted_and_no_other() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scripts");
        let mut used = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for call in ["redis.call('", "redis.pcall('"] {
                let named = text.split(call).skip(1);
                used.extend(named.map(|rest| rest.split('\'').next().unwrap().to_lowercase()));
            }
        }
        let sent = [
            "evalsha",
            "script|load",
            "info",
            "config|get",
            "bgrewriteaof",
            "multi",
            "exec",
        ];
        let granted = IN_SCRIPTS.iter().chain(&OF_FIELDS);
        let granted: BTreeSet<String> = granted
            .filter(|command| !sent.contains(command))
            .map(|command| (*command).to_owned())
            .collect();
        assert_eq!(used, granted);
    }

    #[test]
    fn keys_are_those_of_the_settings() {
        let mut settings = Settings::at("redis://clerk:secret@h/3");
        let lines = settings.grants().unwrap();
        assert_eq!(lines.len(), 1);
        let keys = "resetkeys nocommands ~tandem:* ~witness:tandem:* ~stock:* +bgrewriteaof";
        assert!(
            lines[0].starts_with("ACL SETUSER clerk on resetchannels"),
            "{lines:?}"
        );
        assert!(
            lines[0].contains(keys) && lines[0].contains(" +select "),
            "{lines:?}"
        );
        assert!(
            !lines[0].contains("secret") && !lines[0].contains("+wait"),
            "{lines:?}"
        );
        let nobody = Settings::at("redis://h").grants().unwrap();
        assert!(
            nobody[0].starts_with("ACL SETUSER tandem on "),
            "{nobody:?}"
        );
        settings.key_prefix = "a*b:".into();
        settings.stock_hash = Some("warehouse".into());
        settings.wait_replicas = 1;
        let lines = settings.grants().unwrap();
        assert!(
            lines[0].contains(" ~a\\*b:* ~witness:a\\*b:* ~warehouse +"),
            "{lines:?}"
        );
        assert!(
            lines[0].contains(" +wait ") && !lines[0].contains("+pexpire"),
            "{lines:?}"
        );
        assert_eq!(lines[1], "ACL SETUSER clerk +hpexpireat +hpexpiretime");
    }
}
