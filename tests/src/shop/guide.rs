//! `coordinator/docs/your-shop.md`, followed on a scratch copy of the shop: its files and commands as they are
//! written, but for the ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::Row;
use tandem_servers::{PortLease, Process, guarded};
use tempfile::TempDir;

use crate::machine::Pair;
use crate::personal::PERSONAL;
use crate::programs::tandem_program;
use crate::shop::fixture::{fill, run_sql, sources, stores};
use crate::stores::Stores;
use crate::wait::until;

/// Carts that are open at the beginning.
const CARTS: u64 = 100;

/// How long the coordinator may take until both stores are up.
const UP_MAX: Duration = Duration::from_secs(40);

/// Of the shop's order.
const EMAIL: &str = "cleo@example.org";

/// A block of the document between fences.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// What stands behind the opening fence: `sh`, `toml`.
    kind: String,
    text: String,
}

/// A folder in which the document is followed, and its stores.
struct Scratch {
    coordinator: Option<Process>,
    folder: TempDir,
    stores: Stores,
    /// The document's port and the one in its place.
    ports: Vec<(u16, u16)>,
    path: String,
    /// Keep their ports from others until the coordinator listens.
    _leases: [PortLease; 2],
}

/// Follows the guide with a Python that has the packages, and looks at what it has left.
///
/// # Errors
/// The command that failed, with what it said; what is not as it should be.
pub async fn follow(pair: &Pair, python: &Path) -> Result<()> {
    let mut scratch = Scratch::new(pair, python).await?;
    let document = fs::read_to_string(root().join("coordinator/docs/your-shop.md"))?;
    let mut commands = 0;
    for block in blocks(&document) {
        match block.kind.as_str() {
            "sh" if block.text.starts_with("tandem serve ") => scratch.serve(&block.text).await?,
            "sh" => {
                commands += block.text.lines().count();
                let said = scratch.run(&block.text)?;
                println!("$ {}\n{said}", block.text.trim_end().replace('\n', "\n$ "));
            }
            // What the shop has already.
            "" => ensure!(has_lines(&sources().join("shop.py"), &block.text)?),
            _ => scratch.write(&block.text)?,
        }
    }
    ensure!(commands > 5, "only {commands} commands");
    scratch.is_as_the_shop_has_it("with_ref.sql")?;
    scratch.is_as_the_shop_has_it("tandem.toml")?;
    scratch.check_statements(&document)?;
    scratch.look().await
}

impl Scratch {
    async fn new(pair: &Pair, python: &Path) -> Result<Scratch> {
        let stores = Stores::start(pair, stores()).await?;
        let schema = fs::read_to_string(sources().join("schema.sql"))?;
        run_sql(&stores, &schema).await?;
        fill(&stores, CARTS).await?;
        let leases = [PortLease::take(None)?, PortLease::take(None)?];
        let folder = tempfile::Builder::new().prefix("tandem-guide-").tempdir()?;
        let place = folder.path();
        fs::write(
            place.join(".my.cnf"),
            format!(
                "[client]\nhost = 127.0.0.1\nuser = root\nport = {}\n",
                stores.mysql.port()
            ),
        )?;
        std::os::unix::fs::symlink(root().join("proto"), place.join("proto"))?;
        let program = tandem_program()?;
        let folders = [parent(python)?, parent(&program)?];
        let path = folders.map(|one| one.display().to_string()).join(":");
        let scratch = Scratch {
            coordinator: None,
            ports: vec![
                (3306, stores.mysql.port()),
                (6379, stores.redis.port()),
                (7650, leases[0].port()),
                (7651, leases[1].port()),
            ],
            path: format!("{path}:{}", std::env::var("PATH")?),
            stores,
            folder,
            _leases: leases,
        };
        let shop = fs::read_to_string(sources().join("shop.py"))?;
        let shop = shop.replace(EMAIL, &personal_email());
        fs::write(place_of(&scratch, "shop.py"), scratch.with_ports(&shop))?;
        Ok(scratch)
    }

    /// Puts a block into the file that its first line names, behind what is there.
    fn write(&self, text: &str) -> Result<()> {
        let (first, rest) = text.split_once('\n').context("one line")?;
        let name = first.trim_start_matches(['#', '-', ' ']);
        let path = place_of(self, name);
        let before = fs::read_to_string(&path).unwrap_or_default();
        let gap = if before.is_empty() { "" } else { "\n" };
        fs::write(path, before + gap + &self.with_ports(rest))?;
        Ok(())
    }

    fn with_ports(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.ports {
            text = text.replace(&from.to_string(), &to.to_string());
        }
        text
    }

    fn command(&self, mut command: Command) -> Command {
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("PATH", &self.path)
            .env(
                "TANDEM_ADMIN",
                format!("http://127.0.0.1:{}", self.ports[3].1),
            )
            .env(
                "TANDEM_SERVER",
                format!("http://127.0.0.1:{}", self.ports[2].1),
            );
        command
    }

    fn bash(&self, text: &str) -> Result<Output> {
        let mut bash = self.command(Command::new("bash"));
        Ok(bash.args(["-euo", "pipefail", "-c", text]).output()?)
    }

    /// Each line must succeed. Gives what they said.
    fn run(&self, text: &str) -> Result<String> {
        let output = self.bash(text)?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(
            output.status.success(),
            "{text}{}: {said}\n{}",
            output.status,
            self.log()
        );
        Ok(said)
    }

    /// As in a terminal of its own; goes on when both stores are up.
    async fn serve(&mut self, text: &str) -> Result<()> {
        let mut bash = self.command(guarded("bash"));
        bash.args(["-c", &format!("exec {text}")]);
        let log = place_of(self, "tandem.log");
        self.coordinator = Some(Process::start(bash, &log)?);
        let up = until("both stores are up", UP_MAX, async || {
            let output = self.bash("tandem participants --output json")?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let states: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            let states = states["participants"].as_array().cloned();
            Ok(states.is_some_and(|all| {
                all.len() == 2 && all.iter().all(|one| one["state"] == "LINK_STATE_UP")
            }))
        });
        up.await.with_context(|| self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(place_of(self, "tandem.log")).unwrap_or_default()
    }

    /// That a file which the document has written is the one that the longer run sells with.
    fn is_as_the_shop_has_it(&self, name: &str) -> Result<()> {
        let shops = fs::read_to_string(sources().join(name))?;
        let written = fs::read_to_string(place_of(self, name))?;
        ensure!(
            self.with_ports(&shops) == written,
            "the document's {name} is not that of tests/shop"
        );
        Ok(())
    }

    /// That each statement which the table of schemas shows is one that a configuration may have.
    fn check_statements(&self, document: &str) -> Result<()> {
        let rows = document.lines().filter(|line| line.starts_with('|'));
        let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
        let is_statement = |text: &&str| text.starts_with("INSERT ") || text.starts_with("UPDATE ");
        let statements: Vec<&str> = quoted.filter(is_statement).collect();
        ensure!(statements.len() > 5, "only {statements:?}");
        let written = fs::read_to_string(place_of(self, "tandem.toml"))?;
        let (before, _) = written
            .split_once("[[participants")
            .context("no statements")?;
        let (_, after) = written
            .split_once("[participants.stock")
            .context("no stock")?;
        let mut all = before.to_owned();
        for sql in statements {
            let per = if sql.contains(":sku") {
                "item"
            } else {
                "purchase"
            };
            all += &format!(
                "[[participants.purchases.mysql.statements]]\nper = \"{per}\"\nsql = \"{sql}\"\n"
            );
        }
        fs::write(
            place_of(self, "schemas.toml"),
            all + "[participants.stock" + after,
        )?;
        self.run("tandem config check --offline --config schemas.toml")?;
        Ok(())
    }

    /// What both ways of buying have left.
    async fn look(&self) -> Result<()> {
        let mut session = self.stores.sql().await?;
        let rows = sqlx::query(
            "SELECT o.ref, o.email, o.total = 59.87, o.coupon, c.ref, k.state, \
             (SELECT COUNT(*) FROM order_lines l WHERE l.order_id = o.id), \
             (SELECT amount = o.total FROM payments p WHERE p.order_id = o.id) \
             FROM orders o JOIN customers c ON c.id = o.customer_id JOIN carts k ON k.id = o.cart_id \
             ORDER BY o.id",
        )
        .fetch_all(&mut session)
        .await?;
        ensure!(rows.len() == 2, "{} orders", rows.len());
        for (row, reference) in rows.iter().zip([Some("web-51"), None]) {
            let told = (
                row.try_get::<Option<&str>, _>(0)?,
                row.try_get::<&str, _>(1)?,
                row.try_get::<bool, _>(2)?,
                row.try_get::<&str, _>(3)?,
                row.try_get::<&str, _>(4)?,
                row.try_get::<&str, _>(5)?,
                row.try_get::<i64, _>(6)?,
                row.try_get::<bool, _>(7)?,
            );
            let email = personal_email();
            let wanted = (
                reference,
                email.as_str(),
                true,
                "SAVE3",
                "C-0",
                "ordered",
                3,
                true,
            );
            ensure!(told == wanted, "{told:?} is not {wanted:?}");
        }
        let mut kv = self.stores.kv().await?;
        let stock: [i64; 2] = redis::cmd("HMGET")
            .arg(&["product:lamp", "stock-tokyo", "stock-koeln"])
            .query_async(&mut kv)
            .await?;
        // Two from the one and one from the other, by either.
        let wanted = [10_000_000 - 4, 10_000_000 - 2];
        ensure!(stock == wanted, "{stock:?} lamps");
        ensure!(!self.log().contains(PERSONAL), "{}", self.log());
        Ok(())
    }
}

/// What the shop's order has instead, to be found wherever it is told.
fn personal_email() -> String {
    format!("{PERSONAL}.{EMAIL}")
}

/// All blocks, in their order.
fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(kind), None) => {
                open = Some(Block {
                    kind: kind.to_owned(),
                    text: String::new(),
                });
            }
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

/// Whether a file has these lines, each somewhere, whatever is before it in its line.
fn has_lines(path: &Path, text: &str) -> Result<bool> {
    let file = fs::read_to_string(path)?;
    let mut lines = text.lines();
    Ok(lines.all(|line| file.lines().any(|other| other.trim() == line.trim())))
}

fn place_of(scratch: &Scratch, name: &str) -> PathBuf {
    scratch.folder.path().join(name)
}

fn parent(program: &Path) -> Result<PathBuf> {
    Ok(program.parent().context("no folder")?.to_owned())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
