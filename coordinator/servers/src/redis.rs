use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Deref;

use anyhow::{Context, Result, bail, ensure};

use crate::binary::ServerBinary;
use crate::folder::ServerFolder;
use crate::server::{Kind, LaunchOptions, Server};

/// A private Redis or Valkey.
///
/// What it can do beside starting is in [`Server`].
#[derive(Debug)]
pub struct RedisServer(Server);

impl RedisServer {
    /// Starts one and waits until it answers a PING, its data loaded.
    ///
    /// # Errors
    ///
    /// If the binary is of another kind, the folder belongs to another server,
    /// the port is taken, or the server does not come up in time: the error
    /// quotes its log.
    pub fn start(binary: &ServerBinary, options: LaunchOptions) -> Result<Self> {
        ensure!(
            binary.flavor.is_redis(),
            "{binary} is neither Redis nor Valkey"
        );
        Server::start(
            binary,
            options,
            &Kind {
                prepare: &|folder| {
                    fs::create_dir_all(folder.data()).context("create the data folder")
                },
                args: &args,
                is_ready: answers_ping,
            },
        )
        .map(Self)
    }

    /// `redis://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }
}

impl Deref for RedisServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn args(folder: &ServerFolder, port: u16) -> Vec<OsString> {
    let data = folder.data();
    let port = port.to_string();
    let mut args: Vec<OsString> = vec!["--dir".into(), data.into()];
    args.extend(
        [
            ["--port", &port],
            ["--bind", "127.0.0.1"],
            ["--daemonize", "no"],
            // The append-only file alone holds the data, forced before each
            // answer: `everysec` lost acknowledged writes on a full disk.
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--appendfsync", "always"],
            ["--maxmemory-policy", "noeviction"],
        ]
        .into_iter()
        .flatten()
        .map(OsString::from),
    );
    args
}

fn answers_ping(mut stream: TcpStream) -> Result<()> {
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    match &answer[..length] {
        b"+PONG\r\n" => Ok(()),
        // A server that is loading says so, and is asked again.
        other => bail!("it answers a PING with {}", String::from_utf8_lossy(other)),
    }
}
