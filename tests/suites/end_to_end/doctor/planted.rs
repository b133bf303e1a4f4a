//! Misconfigurations, planted one after the other: each is found, and what is advised mends it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use tandem_tests::{Case, World};

use super::super::helpers::*;
use super::patient::Patient;
use super::{STORES, is_tried};

pub(crate) const CASES: &[Case] = &[
    case!(doctor_finds_what_is_planted_and_its_advice_mends_it on STORES, with down),
    case!(doctor_finds_what_is_wrong_with_the_machine on ONE, with down),
];

/// On which servers a fault can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Both,
    Mysql,
}

/// A fault.
struct Planted {
    at: At,
    plant: &'static [&'static str],
    /// The finding's name.
    finding: &'static str,
    /// What takes it back, where the advice is for a person to think about; before that the advice is followed.
    undo: &'static [&'static str],
}

const fn both(
    plant: &'static [&'static str],
    finding: &'static str,
    undo: &'static [&'static str],
) -> Planted {
    Planted {
        at: At::Both,
        plant,
        finding,
        undo,
    }
}

const fn mysql(plant: &'static [&'static str], finding: &'static str) -> Planted {
    Planted {
        at: At::Mysql,
        plant,
        finding,
        undo: &[],
    }
}

const PLANTED: &[Planted] = &[
    both(
        &["SET GLOBAL innodb_flush_log_at_trx_commit = 2"],
        "FLUSH_LOG_NOT_AT_COMMIT",
        &[],
    ),
    both(
        &["CONFIG SET appendfsync everysec"],
        "APPENDFSYNC_NOT_ALWAYS",
        &[],
    ),
    both(&["ALTER TABLE orders DROP INDEX ref"], "NO_UNIQUE_KEY", &[]),
    both(
        &["ACL SETUSER clerk resetkeys ~stock:*"],
        "RIGHT_MISSING",
        &[],
    ),
    both(
        &["RENAME TABLE order_lines TO moved"],
        "STATEMENT_REFUSED",
        &["RENAME TABLE moved TO order_lines"],
    ),
    both(
        &["CONFIG SET min-replicas-to-write 1"],
        "TRIAL_FAILED",
        &["CONFIG SET min-replicas-to-write 0"],
    ),
    both(
        &["SET GLOBAL innodb_flush_log_at_trx_commit = 0"],
        "FLUSH_LOG_NOT_AT_COMMIT",
        &[],
    ),
    both(&["SET GLOBAL sync_binlog = 0"], "BINLOG_NOT_SYNCED", &[]),
    both(&["SET GLOBAL sync_binlog = 100"], "BINLOG_NOT_SYNCED", &[]),
    both(
        &["SET GLOBAL binlog_format = 'STATEMENT'"],
        "BINLOG_FORMAT_STATEMENT",
        &[],
    ),
    both(&["SET GLOBAL read_only = ON"], "READ_ONLY", &[]),
    mysql(&["SET GLOBAL super_read_only = ON"], "READ_ONLY"),
    both(
        &["SET GLOBAL max_allowed_packet = 65536"],
        "PACKET_TOO_SMALL",
        &[],
    ),
    mysql(&["SET GLOBAL xa_detach_on_prepare = OFF"], "XA_DETACH_OFF"),
    both(
        &["SET GLOBAL time_zone = '+09:00'"],
        "TIME_ZONE_DIFFERS",
        &["SET GLOBAL time_zone = 'SYSTEM'"],
    ),
    both(
        &["ALTER TABLE orders ENGINE = MyISAM"],
        "TABLE_NOT_INNODB",
        &[],
    ),
    both(
        &["ALTER TABLE order_lines ENGINE = MyISAM"],
        "TABLE_NOT_INNODB",
        &[],
    ),
    both(
        &[
            "CREATE TABLE seen (ref VARCHAR(64)) ENGINE = MyISAM",
            "CREATE TRIGGER orders_seen AFTER INSERT ON orders FOR EACH ROW INSERT INTO seen VALUES (NEW.ref)",
        ],
        "TABLE_NOT_INNODB",
        &["DROP TRIGGER orders_seen", "DROP TABLE seen"],
    ),
    both(
        &[
            "ALTER TABLE orders MODIFY ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
        ],
        "ID_FOLDS_CASE",
        &[],
    ),
    both(
        &["ALTER TABLE order_lines MODIFY units SMALLINT NOT NULL"],
        "COLUMN_TOO_SMALL",
        &["ALTER TABLE order_lines MODIFY units INT NOT NULL"],
    ),
    both(
        &["ALTER TABLE orders MODIFY tx VARCHAR(20) NOT NULL"],
        "COLUMN_TOO_SMALL",
        &["ALTER TABLE orders MODIFY tx VARCHAR(64) NOT NULL"],
    ),
    both(
        &["ALTER TABLE order_lines MODIFY units FLOAT NOT NULL"],
        "NOT_AUDITED",
        &["ALTER TABLE order_lines MODIFY units INT NOT NULL"],
    ),
    both(
        &["CREATE TRIGGER orders_wait BEFORE INSERT ON orders FOR EACH ROW SET @a = SLEEP(0)"],
        "TRIGGER_UNSOUND",
        &["DROP TRIGGER orders_wait"],
    ),
    both(
        &["ALTER TABLE orders ADD UNIQUE KEY narrow (ref(10))"],
        "KEY_TOO_NARROW",
        &["ALTER TABLE orders DROP INDEX narrow"],
    ),
    both(
        &["ALTER TABLE orders CHANGE tx transaction VARCHAR(64) NOT NULL"],
        "STATEMENT_REFUSED",
        &["ALTER TABLE orders CHANGE transaction tx VARCHAR(64) NOT NULL"],
    ),
    both(
        &["RENAME TABLE orders TO sales"],
        "STATEMENT_REFUSED",
        &["RENAME TABLE sales TO orders"],
    ),
    both(
        &["ALTER USER clerk IDENTIFIED BY 'other'"],
        "NOT_ASKED",
        &["ALTER USER clerk IDENTIFIED BY 'hunter2'"],
    ),
    both(
        &["ALTER USER clerk ACCOUNT LOCK"],
        "NOT_ASKED",
        &["ALTER USER clerk ACCOUNT UNLOCK"],
    ),
    both(&["REVOKE PROCESS ON *.* FROM clerk"], "RIGHT_MISSING", &[]),
    both(
        &["REVOKE INSERT ON shop.order_lines FROM clerk"],
        "RIGHT_MISSING",
        &[],
    ),
    both(
        &["CONFIG SET appendfsync no"],
        "APPENDFSYNC_NOT_ALWAYS",
        &[],
    ),
    both(&["CONFIG SET appendonly no"], "NO_AOF", &[]),
    both(
        &["CONFIG SET no-appendfsync-on-rewrite yes"],
        "NO_FSYNC_ON_REWRITE",
        &[],
    ),
    both(
        &["CONFIG SET maxmemory-policy allkeys-lru"],
        "EVICTION",
        &[],
    ),
    both(
        &["CONFIG SET maxmemory-policy allkeys-lfu"],
        "EVICTION",
        &[],
    ),
    both(
        &["CONFIG SET maxmemory-policy allkeys-random"],
        "EVICTION",
        &[],
    ),
    both(
        &["CONFIG SET maxmemory 1"],
        "TRIAL_FAILED",
        &["CONFIG SET maxmemory 0"],
    ),
    both(
        &["ACL SETUSER clerk off"],
        "NOT_ASKED",
        &["ACL SETUSER clerk on"],
    ),
    both(
        &["ACL SETUSER clerk resetpass >other"],
        "NOT_ASKED",
        &["ACL SETUSER clerk resetpass >hunter2"],
    ),
    both(
        &["ACL SETUSER clerk resetkeys ~tandem:* ~witness:tandem:*"],
        "RIGHT_MISSING",
        &[],
    ),
    both(
        &["ACL SETUSER clerk resetkeys ~tandem:* ~stock:*"],
        "RIGHT_MISSING",
        &[],
    ),
    both(&["ACL SETUSER clerk -@hash"], "RIGHT_MISSING", &[]),
    both(
        &["ACL SETUSER clerk -config|get"],
        "SETTINGS_UNREADABLE",
        &[],
    ),
    both(&["ACL SETUSER clerk -info"], "SETTINGS_UNREADABLE", &[]),
    both(&["ACL SETUSER clerk -evalsha"], "RIGHT_MISSING", &[]),
    both(&["ACL SETUSER clerk -bgrewriteaof"], "RIGHT_MISSING", &[]),
    both(&["REPLICAOF 127.0.0.1 1"], "REPLICA", &["REPLICAOF NO ONE"]),
];

/// Each by itself, on one pair of servers that are right before and after it.
async fn doctor_finds_what_is_planted_and_its_advice_mends_it(world: &World) -> Result<()> {
    let patient = Patient::admit(world).await?;
    world.coordinator.start(&patient.start()).await?;
    world.coordinator.stop()?;
    let mut found = 0;
    for (number, planted) in PLANTED.iter().enumerate() {
        if planted.at == At::Mysql && !patient.is_mysql() || !is_tried(number, 12) {
            continue;
        }
        for statement in planted.plant {
            patient.run(statement).await?;
        }
        let told = patient.ask()?;
        let one = told.named(planted.finding);
        let one = one.with_context(|| format!("{:?}: {told:#?}", planted.plant))?;
        // What keeps a coordinator from working is not passed over by a script.
        ensure!((told.code == 0) == (one.severity == "told"), "{told:#?}");
        let is_advised = !one.statements.is_empty() || !one.settings.is_empty();
        let is_followed = is_advised && one.name != "REPLICA";
        if is_followed {
            patient.follow(one).await?;
            let mended = patient.ask()?;
            let rest = mended.named(planted.finding);
            let is_accepted = rest.is_some_and(|one| one.severity == "accepted");
            ensure!(
                rest.is_none() || is_accepted,
                "{one:#?} did not mend it: {mended:#?}"
            );
        }
        for statement in planted.undo {
            patient.run(statement).await?;
        }
        patient.forget_settings();
        ensure!(
            is_followed || !planted.undo.is_empty(),
            "nothing mends {:?}",
            planted.plant
        );
        let after = patient.ask()?;
        ensure!(
            after.seen.is_empty() && after.code == 0,
            "{:?}: {after:#?}",
            planted.plant
        );
        println!("{}: {}", planted.plant[0], one.name);
        found += 1;
    }
    println!("{found} were found");
    Ok(())
}

async fn doctor_finds_what_is_wrong_with_the_machine(world: &World) -> Result<()> {
    let patient = Patient::admit(world).await?;
    world.coordinator.start(&patient.start()).await?;
    world.coordinator.stop()?;
    let expect = |name: &str, code: i32| -> Result<()> {
        let told = patient.ask()?;
        ensure!(
            told.named(name).is_some() && told.code == code,
            "{name}: {told:#?}"
        );
        Ok(())
    };
    // Another program listens there.
    let other = TcpListener::bind(("127.0.0.1", world.coordinator.client_port()))?;
    expect("PORT_TAKEN", 1)?;
    drop(other);
    let secret = world.coordinator.config_path().with_file_name("password");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o644))?;
    expect("SECRET_OPEN", 0)?;
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600))?;
    // The log loses its head.
    let head = world.coordinator.data_dir().join("head");
    let whole = fs::read(&head).with_context(|| head.display().to_string())?;
    fs::write(&head, b"nothing")?;
    expect("LOG_DAMAGED", 2)?;
    fs::write(&head, whole)?;
    let told = patient.ask()?;
    ensure!(told.seen.is_empty() && told.code == 0, "{told:#?}");
    Ok(())
}
