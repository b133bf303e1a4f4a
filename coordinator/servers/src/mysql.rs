use std::ffi::OsString;
use std::io::Read;
use std::net::TcpStream;
use std::ops::Deref;

use anyhow::{Result, bail, ensure};

use crate::binary::{Flavor, ServerBinary};
use crate::folder::ServerFolder;
use crate::server::{Kind, LaunchOptions, Server};
use crate::template::{fresh_data, joined, place_args, user_args};

/// The first byte of the handshake that MySQL and MariaDB greet with
/// (MySQL's documentation of the protocol, `HandshakeV10`).
const HANDSHAKE_V10: u8 = 10;

/// How to run a MariaDB or MySQL.
#[derive(Debug, Clone)]
pub struct MysqlOptions {
    /// Folder, port, extra arguments.
    pub launch: LaunchOptions,
    /// Whether the binary log is on (and forced at each commit).
    pub binlog: bool,
    /// InnoDB's buffer pool. Small, so that several servers fit on a machine.
    pub buffer_pool_mib: u32,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        Self {
            launch: LaunchOptions::default(),
            binlog: true,
            buffer_pool_mib: 64,
        }
    }
}

/// A private MariaDB or MySQL whose user is `root` without a password.
///
/// What it can do beside starting is in [`Server`].
#[derive(Debug)]
pub struct MysqlServer(Server);

impl MysqlServer {
    /// Starts one and waits until it greets.
    ///
    /// # Errors
    ///
    /// If the binary is of another kind, the folder belongs to another server,
    /// the port is taken, or the server does not come up in time: the error
    /// quotes its log.
    pub fn start(binary: &ServerBinary, options: MysqlOptions) -> Result<Self> {
        ensure!(
            binary.flavor.is_mysql(),
            "{binary} is neither MariaDB nor MySQL"
        );
        let MysqlOptions {
            launch,
            binlog,
            buffer_pool_mib,
        } = options;
        Server::start(
            binary,
            launch,
            &Kind {
                prepare: &|folder| fresh_data(binary, &folder.data()),
                args: &|folder, port| args(binary, folder, port, binlog, buffer_pool_mib),
                is_ready: greets,
            },
        )
        .map(Self)
    }

    /// `mysql://root@127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/", self.port())
    }
}

impl Deref for MysqlServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn args(
    binary: &ServerBinary,
    folder: &ServerFolder,
    port: u16,
    binlog: bool,
    buffer_pool_mib: u32,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--no-defaults".into(),
        joined("--datadir", &folder.data()),
        joined("--pid-file", &folder.base().join("pid")),
        // Of its own: MariaDB deletes the temporary tables of all others in it
        // when it starts.
        joined("--tmpdir", folder.base()),
        "--bind-address=127.0.0.1".into(),
        format!("--port={port}").into(),
        // None: nobody here uses it, its path may be too long for the kernel
        // (107 bytes), and MySQL won't start over the lock of a killed one.
        "--socket=".into(),
        "--server-id=1".into(),
        // A power cut would lose acknowledged commits and prepares without
        // these two.
        "--innodb-flush-log-at-trx-commit=1".into(),
        "--sync-binlog=1".into(),
        format!("--innodb-buffer-pool-size={buffer_pool_mib}M").into(),
        "--max-connections=700".into(),
        "--performance-schema=OFF".into(),
    ];
    match (binlog, binary.flavor) {
        (true, _) => args.push("--log-bin=binlog".into()),
        // Off is MariaDB's default.
        (false, Flavor::MySql) => args.push("--disable-log-bin".into()),
        (false, _) => {}
    }
    if binary.flavor == Flavor::MySql {
        args.push("--mysqlx=OFF".into());
        // The compiled-in folder does not exist when MySQL is not installed,
        // and MySQL then refuses to start.
        args.push("--secure-file-priv=NULL".into());
    }
    args.extend(place_args(binary));
    args.extend(user_args());
    args
}

/// Reads the packet that the server opens each connection with.
fn greets(mut stream: TcpStream) -> Result<()> {
    // Three bytes of length, one of sequence, then the packet.
    let mut start = [0; 5];
    stream.read_exact(&mut start)?;
    match start[4] {
        HANDSHAKE_V10 => Ok(()),
        other => bail!("it greets with {other:#04x} instead of a handshake"),
    }
}
