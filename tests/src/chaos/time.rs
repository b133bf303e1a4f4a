//! Stores that lose what they have acknowledged: a torn file, an old copy that is put back, another server
//! that takes a store's place with an old copy.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use tandem_servers::{Folder, LaunchOptions, MysqlOptions, MysqlServer, RedisServer, Server};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::arena::Arena;
use super::kind::Fault;
use super::strike::until_met;
use crate::coordinator::copy_folder;
use crate::links::LinkName;
use crate::parts::Part;

/// The most that is cut off: a script's writes and some before them.
const TORN_BYTES_MAX: u64 = 1_500;

/// What Redis' append-only file held when the app wrote to it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEnd {
    file: PathBuf,
    bytes: u64,
}

/// A server in another's place.
enum Other {
    Mysql(MysqlServer),
    Redis(RedisServer),
}

impl Other {
    fn port(&self) -> u16 {
        match self {
            Other::Mysql(server) => server.port(),
            Other::Redis(server) => server.port(),
        }
    }
}

impl Arena {
    /// From here on what is cut off Redis' file is tandem's own: the app can't write it again.
    pub(super) fn remember_end(&self) -> Result<()> {
        *self.app_wrote_to.lock().unwrap() = Some(self.end_of_file()?);
        Ok(())
    }

    /// Where the append-only file ends that is being written.
    fn end_of_file(&self) -> Result<FileEnd> {
        let folder = self.world.stores.redis.data_dir().join("appendonlydir");
        let mut newest: Option<(u64, PathBuf)> = None;
        for entry in fs::read_dir(&folder)? {
            let file = entry?.path();
            let name = file.to_string_lossy().into_owned();
            let number = name.strip_suffix(".incr.aof");
            let number = number.and_then(|name| name.rsplit('.').next()?.parse().ok());
            if let Some(number) = number
                && newest.as_ref().is_none_or(|(newest, _)| number > *newest)
            {
                newest = Some((number, file));
            }
        }
        let (_, file) = newest.context("no append-only file is being written")?;
        let bytes = fs::metadata(&file)?.len();
        Ok(FileEnd { file, bytes })
    }

    /// `kill -9` of Redis, the last bytes of its file are lost, and it starts again.
    pub(super) async fn tear(&self, fault: &Fault) -> Result<bool> {
        let _hand = self.in_hand(Part::Redis).lock().await;
        self.wait_for(Part::Redis).await?;
        // Of a file that was rewritten a moment ago there is nothing to lose.
        until_met(Duration::ZERO, || {
            self.may_be_lost().is_ok_and(|bytes| bytes > 0)
        })
        .await;
        self.world.kill(Part::Redis)?;
        let torn = self.cut_off(1 + fault.draw % TORN_BYTES_MAX);
        sleep(fault.hold / 4).await;
        self.world.revive(Part::Redis, None)?;
        torn
    }

    /// How many bytes tandem has written since the app wrote last, at the end of the file.
    fn may_be_lost(&self) -> Result<u64> {
        let end = self.end_of_file()?;
        Ok(match &*self.app_wrote_to.lock().unwrap() {
            Some(app) if app.file == end.file => end.bytes.saturating_sub(app.bytes),
            _ => end.bytes,
        })
    }

    /// Gives whether anything was cut off.
    fn cut_off(&self, bytes: u64) -> Result<bool> {
        let (end, lost) = (self.end_of_file()?, bytes.min(self.may_be_lost()?));
        let file = OpenOptions::new().write(true).open(&end.file)?;
        file.set_len(end.bytes - lost)?;
        Ok(lost > 0)
    }

    /// A copy of a store's folder is made, and put back after a while.
    pub(super) async fn put_back(&self, store: Part, fault: &Fault) -> Result<bool> {
        let copy = self.copy(store).await?;
        sleep(fault.hold).await;
        let _hand = self.in_hand(store).lock().await;
        self.wait_for(store).await?;
        self.note_loss(store);
        self.world.kill(store)?;
        let data = self.server(store).data_dir();
        // In one go: who is interrupted here would leave a store without data.
        block_in_place(|| {
            fs::remove_dir_all(&data)?;
            copy_folder(&copy.join("data"), &data)
        })?;
        self.world.revive(store, None)?;
        fs::remove_dir_all(copy)?;
        Ok(true)
    }

    /// New connections are led to another server, which starts with a copy, and back after a while; those
    /// that are open stay, or are cut.
    pub(super) async fn lead_elsewhere(&self, store: Part, fault: &Fault) -> Result<bool> {
        let copy = self.copy(store).await?;
        let other = block_in_place(|| self.start_other(store, &copy, fault))?;
        let link = self.links()?.of(link_to(store));
        self.note_loss(store);
        link.lead_to(other.port());
        if fault.coin {
            link.cut();
            link.open();
        }
        let struck = until_met(fault.hold, || link.led() > 0).await;
        link.lead_to(self.server(store).port());
        link.cut();
        link.open();
        drop(other);
        fs::remove_dir_all(copy)?;
        Ok(struck)
    }

    /// Copies a store's data to a folder of their own, while it is down for a moment.
    async fn copy(&self, store: Part) -> Result<PathBuf> {
        let _hand = self.in_hand(store).lock().await;
        self.wait_for(store).await?;
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let copy = self.world.folder().join(format!("copy-{number}"));
        self.world.kill(store)?;
        let copied =
            block_in_place(|| copy_folder(&self.server(store).data_dir(), &copy.join("data")));
        self.world.revive(store, None)?;
        copied?;
        Ok(copy)
    }

    fn start_other(&self, store: Part, copy: &Path, fault: &Fault) -> Result<Other> {
        let launch = |extra_args: Vec<OsString>| LaunchOptions {
            folder: Folder::Kept(copy.to_owned()),
            extra_args,
            ..LaunchOptions::default()
        };
        let stores = &self.world.stores;
        if store == Part::Redis {
            let mut args = self.ground.redis_args.clone();
            args.extend(self.world.stores.redis_user());
            let server = RedisServer::start(stores.redis.binary(), launch(args))?;
            return Ok(Other::Redis(server));
        }
        if fault.draw.is_multiple_of(2) {
            // Another server by its own word too; MariaDB has no such file.
            let _ = fs::remove_file(copy.join("data/auto.cnf"));
        }
        let mut args = self.ground.mysql_args.clone();
        args.push("--server-id=2".into());
        let options = MysqlOptions {
            launch: launch(args),
            ..MysqlOptions::default()
        };
        Ok(Other::Mysql(MysqlServer::start(
            stores.mysql.binary(),
            options,
        )?))
    }

    fn server(&self, store: Part) -> &Server {
        match store {
            Part::Redis => &self.world.stores.redis,
            _ => &self.world.stores.mysql,
        }
    }

    fn note_loss(&self, store: Part) {
        if store == Part::Mysql {
            self.rows_lost.store(true, Ordering::Relaxed);
        }
    }

    /// Connections to both stores lead to where they belong.
    pub(super) fn lead_home(&self) -> Result<()> {
        for store in [Part::Mysql, Part::Redis] {
            let (link, port) = (self.links()?.of(link_to(store)), self.server(store).port());
            if link.leads_to() != port {
                link.lead_to(port);
                link.cut();
                link.open();
            }
        }
        Ok(())
    }
}

fn link_to(store: Part) -> LinkName {
    match store {
        Part::Redis => LinkName::Redis,
        _ => LinkName::Mysql,
    }
}
