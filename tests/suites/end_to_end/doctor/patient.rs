//! A shop with a user of least rights at both stores, whom a doctor looks at.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tandem_tests::{Start, World};

use super::super::helpers::sql;

/// The shop's tables.
const TABLES: &str = "\
CREATE TABLE orders (id BIGINT PRIMARY KEY AUTO_INCREMENT, ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE \
utf8mb4_bin NOT NULL, customer VARCHAR(64) NOT NULL, tx VARCHAR(64) NOT NULL, UNIQUE (ref)) ENGINE=InnoDB; \
CREATE TABLE order_lines (order_no BIGINT NOT NULL, sku VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT \
NULL, units INT NOT NULL, PRIMARY KEY (order_no, sku)) ENGINE=InnoDB";

/// How purchases are written there.
const STATEMENTS: &str = "
[[participants.purchases.mysql.statements]]
per = \"purchase\"
sql = \"INSERT INTO orders (ref, customer, tx) VALUES (:purchase_id, :customer_id, :transaction_id)\"
[[participants.purchases.mysql.statements]]
per = \"item\"
sql = \"INSERT INTO order_lines (order_no, sku, units) VALUES ((SELECT id FROM orders WHERE ref = :purchase_id), \
:sku, :quantity)\"
";

/// What the user is called at both stores.
pub(super) const USER: &str = "clerk";

pub(super) struct Patient<'a> {
    pub(super) world: &'a World,
    /// Lines that a doctor has put into the settings, by participant.
    settings: Mutex<Vec<(String, String)>>,
}

/// One finding, as JSON has it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) detail: String,
    /// Statements, and settings, in their order.
    pub(super) statements: Vec<String>,
    pub(super) settings: Vec<String>,
}

/// What a doctor has said.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) seen: Vec<Seen>,
    pub(super) code: i32,
}

impl<'a> Patient<'a> {
    /// Makes the tables, and the user with what `tandem doctor --grants` prints and nothing else.
    pub(super) async fn admit(world: &'a World) -> Result<Patient<'a>> {
        let patient = Patient {
            world,
            settings: Mutex::default(),
        };
        sql(world, TABLES).await?;
        sql(
            world,
            &format!("CREATE USER {USER} IDENTIFIED BY 'hunter2'"),
        )
        .await?;
        patient
            .redis(&format!("ACL SETUSER {USER} reset on >hunter2"))
            .await?;
        for line in patient.grants()? {
            patient.run(&line).await?;
        }
        Ok(patient)
    }

    /// The participants' part of the configuration.
    pub(super) fn participants(&self) -> String {
        let added = self.settings.lock().unwrap();
        let of = |participant: &str| -> String {
            let lines = added.iter().filter(|(name, _)| name == participant);
            lines.map(|(_, line)| format!("{line}\n")).collect()
        };
        let stores = &self.world.stores;
        format!(
            "[participants.stock.redis]\nurl = \"redis://{USER}:hunter2@127.0.0.1:{}/\"\n{}\
             [participants.purchases.mysql]\nurl = \"mysql://{USER}@127.0.0.1:{}/shop\"\npassword_file = \
             \"password\"\n{}{STATEMENTS}",
            stores.redis.port(),
            of("stock"),
            stores.mysql.port(),
            of("purchases"),
        )
    }

    /// How a coordinator is started on it.
    pub(super) fn start(&self) -> Start {
        Start {
            participants: self.participants(),
            ..self.world.start.clone()
        }
    }

    fn config(&self) -> Result<PathBuf> {
        let path = self.world.coordinator.config_path();
        let folder = path.parent().context("a folder")?;
        let secret = folder.join("password");
        if !secret.exists() {
            fs::write(&secret, "hunter2\n")?;
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(&secret, private)?;
        }
        self.world.coordinator.write_config(&self.start())?;
        Ok(path)
    }

    /// The lines that grant the least.
    pub(super) fn grants(&self) -> Result<Vec<String>> {
        let path = self.config()?;
        let path = path.to_string_lossy();
        let output = self
            .world
            .tandem(&["doctor", "--grants", "--config", &path])?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(
            output.status.success() && !text.contains("hunter2"),
            "{text}"
        );
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// What a doctor says now.
    pub(super) fn ask(&self) -> Result<Told> {
        let path = self.config()?;
        let path = path.to_string_lossy();
        let words = ["doctor", "--config", &path, "--output", "json"];
        let output = self.world.tandem(&words)?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(!text.contains("hunter2"), "{text}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let document: Value =
            serde_json::from_str(&text).with_context(|| format!("{text}{stderr}"))?;
        Ok(Told {
            seen: seen(&document)?,
            code: output.status.code().unwrap_or_default(),
        })
    }

    /// Does as the doctor says, literally.
    pub(super) async fn follow(&self, advice: &Seen) -> Result<()> {
        for statement in &advice.statements {
            self.run(statement).await?;
        }
        let mut settings = self.settings.lock().unwrap();
        settings.extend(
            advice
                .settings
                .iter()
                .map(|line| (advice.subject.clone(), line.clone())),
        );
        Ok(())
    }

    /// Takes back what it has put into the file.
    pub(super) fn forget_settings(&self) {
        self.settings.lock().unwrap().clear();
    }

    /// A statement at the store that it is for.
    pub(super) async fn run(&self, statement: &str) -> Result<()> {
        let first = statement.split_whitespace().next().unwrap_or_default();
        let others = if self.is_mysql() { "/*M!" } else { "/*!80000" };
        match first {
            // The client of this server sends no statement that is a comment to it.
            comment if comment == others => Ok(()),
            "ACL" | "CONFIG" | "REPLICAOF" | "BGREWRITEAOF" => self.redis(statement).await,
            _ => sql(self.world, statement.trim_end_matches(';')).await,
        }
    }

    /// Whether the one store is MySQL, and not MariaDB.
    pub(super) fn is_mysql(&self) -> bool {
        self.world.stores.names().contains("MySQL")
    }

    async fn redis(&self, line: &str) -> Result<()> {
        let mut words = line.split_whitespace();
        let mut command = redis::cmd(words.next().context("a command")?);
        for word in words {
            command.arg(word);
        }
        let mut kv = self.world.stores.kv().await?;
        let done: redis::RedisResult<redis::Value> = command.query_async(&mut kv).await;
        match done {
            // The line for fields is for servers that know them.
            Err(error) if line.contains("hpexpire") && !error.is_io_error() => Ok(()),
            Err(error) => bail!("{line}: {error}"),
            Ok(_) => Ok(()),
        }
    }
}

impl Told {
    /// The finding of this name, if there is one.
    pub(super) fn named(&self, name: &str) -> Option<&Seen> {
        self.seen.iter().find(|one| one.name == name)
    }
}

fn seen(document: &Value) -> Result<Vec<Seen>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut seen = Vec::new();
    for subject in document["subjects"].as_array().context("subjects")? {
        for one in subject["findings"].as_array().context("findings")? {
            let remedies = one["remedies"].as_array().context("remedies")?;
            let of = |kind: &str| -> Vec<String> {
                let named = remedies.iter().filter_map(|remedy| remedy[kind].as_str());
                named.map(str::to_owned).collect()
            };
            seen.push(Seen {
                subject: text(&subject["name"]),
                name: text(&one["name"]),
                severity: text(&one["severity"]),
                detail: text(&one["detail"]),
                statements: of("statement"),
                settings: of("setting"),
            });
        }
    }
    Ok(seen)
}
