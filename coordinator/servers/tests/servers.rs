//! Starts every server that this machine has and looks at what it does.

#![allow(clippy::unwrap_used)]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tandem_servers::fetch::{Fetchable, fetch};
use tandem_servers::{
    Folder, LaunchOptions, MysqlOptions, MysqlServer, RedisServer, Server, ServerBinary,
    find_installed, installed_mysql, installed_redis, missing_packages,
};

/// Where the process that is to be killed leaves its folder.
const OWNER_FOLDER: &str = "TANDEM_TEST_OWNER_FOLDER";

#[test]
fn each_installed_server_starts_and_talks() {
    let binaries = find_installed();
    assert_eq!(missing_packages(), Vec::<&str>::new());
    for binary in &binaries {
        start_and_talk(binary);
    }
}

#[test]
fn each_fetched_server_starts_and_talks() {
    for server in Fetchable::ALL {
        let started = Instant::now();
        match fetch(server) {
            Ok(binary) => {
                say(&format!(
                    "fetched {binary}: {} ms",
                    started.elapsed().as_millis()
                ));
                start_and_talk(&binary);
            }
            Err(error) => say(&format!("SKIPPED: {error:#}")),
        }
    }
}

#[test]
fn mariadb_comes_back_on_its_port_after_kill9_and_after_a_clean_stop() {
    comes_back(&mysql());
}

#[test]
fn fetched_mysql_comes_back_on_its_port_after_kill9_and_after_a_clean_stop() {
    match fetch(Fetchable::MySql) {
        Ok(binary) => comes_back(&MysqlServer::start(&binary, MysqlOptions::default()).unwrap()),
        Err(error) => say(&format!("SKIPPED: {error:#}")),
    }
}

#[test]
fn redis_keeps_an_acknowledged_write_over_kill9() {
    let server = redis(LaunchOptions::default());
    assert_eq!(redis_says(&server, "SET stock:apple 41"), "+OK");
    server.kill9().unwrap();
    server.restart().unwrap();
    assert_eq!(redis_says(&server, "GET stock:apple"), "$2\r\n41");
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(redis_says(&server, "GET stock:apple"), "$2\r\n41");
}

#[test]
fn redis_runs_with_durable_settings_unless_told_otherwise() {
    let server = redis(LaunchOptions::default());
    for (setting, value) in [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("maxmemory-policy", "noeviction"),
    ] {
        let answer = redis_says(&server, &format!("CONFIG GET {setting}"));
        assert!(answer.ends_with(value), "{setting}: {answer}");
    }
    let server = redis(LaunchOptions {
        extra_args: vec!["--appendfsync".into(), "everysec".into()],
        ..LaunchOptions::default()
    });
    let answer = redis_says(&server, "CONFIG GET appendfsync");
    assert!(answer.ends_with("everysec"), "{answer}");
}

#[test]
fn servers_at_once_get_ports_of_their_own_below_the_ephemeral_ones() {
    let servers: Vec<RedisServer> = thread::scope(|scope| {
        let starts: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| redis(LaunchOptions::default())))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let mut ports: Vec<u16> = servers.iter().map(|server| server.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
    assert!(ports.iter().all(|port| *port < 32_768));
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let server = thread::spawn(|| redis(LaunchOptions::default()))
        .join()
        .unwrap();
    // The thread is gone: a signal bound to it would have been sent by now.
    assert_eq!(redis_says(&server, "PING"), "+PONG");
}

#[test]
fn drop_leaves_no_process_and_no_folder() {
    for (pid, data) in [left_by(mysql()), left_by(redis(LaunchOptions::default()))] {
        assert!(!process_exists(pid), "process {pid} was left behind");
        let folder = data.parent().unwrap();
        assert!(!folder.exists(), "{} was left behind", folder.display());
    }
}

#[test]
fn a_panic_leaves_no_process() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = thread::spawn(move || {
        let server = redis(LaunchOptions::default());
        sender.send(server.pid().unwrap()).unwrap();
        panic!("as a failing test does");
    });
    assert!(panicked.join().is_err());
    assert!(!process_exists(receiver.recv().unwrap()));
}

#[test]
fn killing_the_owner_kills_its_servers() {
    if !Path::new("/usr/bin/setpriv").exists() {
        say("SKIPPED: this machine has no setpriv");
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let mut owner = Command::new(env::current_exe().unwrap())
        .env(OWNER_FOLDER, parent.path())
        .args([
            "owner_that_waits_to_be_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid: u32 = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.split_once("server pid ")?.1.parse().ok())
        .unwrap();
    assert!(process_exists(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the server dies with its owner", || !process_exists(pid));
}

#[test]
#[ignore = "started by killing_the_owner_kills_its_servers"]
fn owner_that_waits_to_be_killed() {
    let server = redis(LaunchOptions {
        folder: Folder::TemporaryIn(env::var_os(OWNER_FOLDER).unwrap().into()),
        ..LaunchOptions::default()
    });
    println!("\nserver pid {}", server.pid().unwrap());
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_paused_server_is_silent_until_it_is_resumed() {
    let server = redis(LaunchOptions::default());
    server.pause().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut answer = [0; 7];
    assert!(stream.read(&mut answer).is_err());
    server.resume().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");

    server.pause().unwrap();
    let stopping = Instant::now();
    server.stop().unwrap();
    assert!(
        stopping.elapsed() < Duration::from_secs(10),
        "a paused server stops cleanly too"
    );
    assert!(server.pause().is_err());
}

#[test]
fn a_kept_folder_is_used_again_with_its_data() {
    let parent = tempfile::tempdir().unwrap();
    let kept = || LaunchOptions {
        folder: Folder::Kept(parent.path().join("redis")),
        ..LaunchOptions::default()
    };
    let first = redis(kept());
    assert_eq!(redis_says(&first, "SET k v"), "+OK");
    let second = RedisServer::start(first.binary(), kept()).unwrap_err();
    assert!(
        format!("{second:#}").contains("another process runs a server in"),
        "{second:#}"
    );
    drop(first);
    assert_eq!(redis_says(&redis(kept()), "GET k"), "$1\r\nv");

    let mysql_kept = || MysqlOptions {
        launch: LaunchOptions {
            folder: Folder::Kept(parent.path().join("mysql")),
            ..LaunchOptions::default()
        },
        ..MysqlOptions::default()
    };
    let binary = installed_mysql().unwrap();
    let first = MysqlServer::start(&binary, mysql_kept()).unwrap();
    let marker = first.data_dir().join("marker");
    std::fs::create_dir(&marker).unwrap();
    first.stop().unwrap();
    drop(first);
    let _again = MysqlServer::start(&binary, mysql_kept()).unwrap();
    assert!(marker.exists());
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let error = RedisServer::start(
        &installed_redis().unwrap(),
        LaunchOptions {
            extra_args: vec!["--no-such-setting".into(), "1".into()],
            ..LaunchOptions::default()
        },
    )
    .unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("no-such-setting"), "{text}");

    let error = MysqlServer::start(
        &installed_mysql().unwrap(),
        MysqlOptions {
            launch: LaunchOptions {
                extra_args: vec!["--no-such-setting=1".into()],
                ..LaunchOptions::default()
            },
            ..MysqlOptions::default()
        },
    )
    .unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("no-such-setting"), "{text}");
}

#[test]
fn a_taken_port_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = RedisServer::start(
        &installed_redis().unwrap(),
        LaunchOptions {
            port: Some(port),
            ..LaunchOptions::default()
        },
    )
    .unwrap_err();
    assert!(
        format!("{error:#}").contains(&format!("port {port}")),
        "{error:#}"
    );
}

#[test]
fn the_environment_reaches_the_server() {
    let options = MysqlOptions {
        launch: LaunchOptions {
            env: vec![("TANDEM_MARK".into(), "seen".into())],
            ..LaunchOptions::default()
        },
        ..MysqlOptions::default()
    };
    let server = MysqlServer::start(&installed_mysql().unwrap(), options).unwrap();
    let environment = std::fs::read(format!("/proc/{}/environ", server.pid().unwrap())).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("TANDEM_MARK=seen"));
}

fn start_and_talk(binary: &ServerBinary) {
    let started = Instant::now();
    if binary.flavor.is_mysql() {
        for binlog in [true, false] {
            let options = MysqlOptions {
                binlog,
                ..MysqlOptions::default()
            };
            let server = MysqlServer::start(binary, options).unwrap();
            assert!(greeting(&server).contains(&binary.version));
            assert_eq!(server.data_dir().join("binlog.index").exists(), binlog);
            server.stop().unwrap();
        }
    } else {
        let server = RedisServer::start(binary, LaunchOptions::default()).unwrap();
        let info = redis_says(&server, "INFO server");
        assert!(info.contains(&binary.version), "{info}");
        server.stop().unwrap();
    }
    let program = binary.program.display();
    say(&format!(
        "ran on {binary} ({program}): {} ms",
        started.elapsed().as_millis()
    ));
}

fn comes_back(server: &MysqlServer) {
    let port = server.port();
    let ends: [fn(&Server) -> anyhow::Result<()>; 2] = [Server::kill9, Server::stop];
    for end in ends {
        end(server).unwrap();
        assert_eq!(server.pid(), None);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        server.restart().unwrap();
        assert_eq!(server.port(), port);
        assert!(greeting(server).contains(&server.binary().version));
    }
}

fn mysql() -> MysqlServer {
    MysqlServer::start(&installed_mysql().unwrap(), MysqlOptions::default()).unwrap()
}

fn redis(options: LaunchOptions) -> RedisServer {
    RedisServer::start(&installed_redis().unwrap(), options).unwrap()
}

fn left_by<S: std::ops::Deref<Target = Server>>(server: S) -> (u32, PathBuf) {
    let left = (server.pid().unwrap(), server.data_dir());
    assert!(process_exists(left.0));
    assert!(left.1.exists());
    left
}

/// MySQL's handshake packet as text; it holds the version.
fn greeting(server: &MysqlServer) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut packet = vec![0; length as usize];
    stream.read_exact(&mut packet).unwrap();
    String::from_utf8_lossy(&packet).into_owned()
}

/// The raw answer to an inline command, without its last line end.
fn redis_says(server: &RedisServer, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream
        .write_all(format!("{command}\r\nQUIT\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.strip_suffix("\r\n+OK\r\n").unwrap().to_owned()
}

fn process_exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Says it past the test harness, which swallows what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
