#![allow(clippy::unwrap_used)]

mod outside;

use std::time::Duration;

use super::*;

const COORDINATOR: &str = r#"
[coordinator]
id = "shop"
data_dir = "log"
listen = "127.0.0.1:7650"
admin_listen = "127.0.0.1:7651"
accept = ["NO_STOCK_PARTICIPANT", "NO_RECORD_PARTICIPANT"]
"#;

const PARTICIPANT: &str = r#"
[participants.purchases.mysql]
url = "mysql://app@127.0.0.1:3306/shop"
"#;

fn load_text(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

/// The report of a file that must be refused.
fn refusal(text: &str) -> String {
    let report = load_text(text).unwrap_err().to_string();
    assert!(report.contains("tandem.toml"), "names no file: {report}");
    report
}

#[track_caller]
fn assert_says(report: &str, parts: &[&str]) {
    for part in parts {
        assert!(report.contains(part), "{part:?} is missing in: {report}");
    }
}

#[test]
fn example_file_parses_and_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tandem.example.toml");
    let config = Config::load(&path).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.retention, Retention::default());
    assert_eq!(config.coordinator.id.as_str(), "shop");
    assert_eq!(config.coordinator.data_dir, Path::new("/var/lib/tandem"));
    let names: Vec<&str> = config.participants.keys().map(|n| n.as_str()).collect();
    assert_eq!(names, ["purchases", "stock"]);
}

#[test]
fn example_file_shows_every_key_of_the_optional_sections() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tandem.example.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let table: toml::Table = text.parse().unwrap();
    // A key that the file lacks would be filled by its default and go unnoticed above; a Debug
    // print of the struct has one "name: " for each field.
    assert_eq!(
        table["limits"].as_table().unwrap().len(),
        format!("{:?}", Limits::default()).matches(": ").count()
    );
    assert_eq!(
        table["retention"].as_table().unwrap().len(),
        format!("{:?}", Retention::default()).matches(": ").count()
    );
}

#[test]
fn manual_gives_the_default_limits() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator.md");
    let manual = std::fs::read_to_string(path).unwrap().replace(',', "");
    let limits = Limits::default();
    let retention = Retention::default();
    assert_eq!(retention.age, Duration::from_secs(24 * 60 * 60));
    for row in [
        format!(
            "| queue purchases per transaction transactions at once | {} {} {}; settings |",
            limits.queue_purchases_max,
            limits.transaction_purchases_max,
            limits.pipeline_transactions_max
        ),
        format!(
            "| remembered purchases | the last {} for a day; settings |",
            retention.purchases_max
        ),
    ] {
        assert!(manual.contains(&row), "{row}");
    }
}

#[test]
fn optional_sections_may_be_missing() {
    let config = load_text(&format!("{COORDINATOR}{PARTICIPANT}")).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.retention, Retention::default());
}

#[test]
fn relative_data_dir_starts_at_the_files_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, format!("{COORDINATOR}{PARTICIPANT}")).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.coordinator.data_dir, folder.path().join("log"));
}

#[test]
fn sidecar_is_a_participant_by_endpoint() {
    let sidecar = "[participants.stock.sidecar]\nendpoint = \"http://10.0.0.7:7660\"\n";
    let config = load_text(&format!("{COORDINATOR}{sidecar}")).unwrap();
    let settings = config.participants.values().next().unwrap();
    let ParticipantSettings::Sidecar(sidecar) = settings else {
        panic!("{settings:?}");
    };
    assert_eq!(sidecar.endpoint.to_string(), "http://10.0.0.7:7660/");
}

#[test]
fn missing_file_is_named() {
    let error = Config::load(Path::new("/nowhere/tandem.toml")).unwrap_err();
    assert_says(&error.to_string(), &["can't read", "/nowhere/tandem.toml"]);
}

#[test]
fn unknown_key_is_named_with_its_line_and_the_known_keys() {
    let report = refusal(&format!(
        "[limits]\nqueue_max = 5\n{COORDINATOR}{PARTICIPANT}"
    ));
    assert_says(
        &report,
        &[
            "line 2, column 1",
            "unknown field `queue_max`",
            "`queue_purchases_max`",
        ],
    );
}

#[test]
fn wrong_type_is_refused_with_the_range() {
    let text = "[limits]\nprepare_timeout_ms = \"5s\"\n";
    let report = refusal(&format!("{text}{COORDINATOR}{PARTICIPANT}"));
    assert_says(
        &report,
        &[
            "line 2, column 22",
            "prepare_timeout_ms",
            "string \"5s\"",
            "a whole number from 10 to 600000",
        ],
    );
}

#[test]
fn value_out_of_range_is_refused_with_the_range() {
    for (value, shown) in [("0", "`0`"), ("1001", "`1001`"), ("-1", "`-1`")] {
        let text = format!("[limits]\ntransaction_purchases_max = {value}\n");
        let report = refusal(&format!("{text}{COORDINATOR}{PARTICIPANT}"));
        assert_says(
            &report,
            &[
                "line 2, column 29",
                "transaction_purchases_max",
                shown,
                "from 1 to 1000",
            ],
        );
    }
}

#[test]
fn back_offs_that_contradict_each_other_are_refused() {
    let text = "[limits]\nretry_backoff_min_ms = 900\nretry_backoff_max_ms = 800\n";
    let report = refusal(&format!("{text}{COORDINATOR}{PARTICIPANT}"));
    assert_says(
        &report,
        &["line 1", "retry_backoff_min_ms is 900", "which is 800"],
    );
}

#[test]
fn bad_coordinator_id_is_refused_with_its_rule() {
    let text = COORDINATOR.replace("\"shop\"", "\"The Shop\"");
    let report = refusal(&format!("{text}{PARTICIPANT}"));
    assert_says(
        &report,
        &[
            "line 3, column 6",
            "\"The Shop\" must be 1 to 20 characters of a-z 0-9 -",
        ],
    );
}

#[test]
fn bad_participant_name_is_refused_with_its_rule() {
    let text = PARTICIPANT.replace("purchases", "Purchases");
    let report = refusal(&format!("{COORDINATOR}{text}"));
    assert_says(
        &report,
        &["line 9", "\"Purchases\" must be 1 to 32 characters"],
    );
}

#[test]
fn missing_section_is_named() {
    assert_says(&refusal(PARTICIPANT), &["missing field `coordinator`"]);
    assert_says(&refusal(COORDINATOR), &["missing field `participants`"]);
}

#[test]
fn no_participants_are_refused() {
    let report = refusal(&format!("{COORDINATOR}[participants]\n"));
    assert_says(
        &report,
        &[
            "line 8",
            "there are no participants",
            "[participants.purchases.mysql]",
        ],
    );
}

#[test]
fn participant_without_a_kind_is_refused() {
    let report = refusal(&format!(
        "{COORDINATOR}[participants.stock]\nurl = \"redis://x/\"\n"
    ));
    assert_says(
        &report,
        &["line 9", "unknown variant `url`", "`mysql`, `redis`"],
    );
    let report = refusal(&format!("{COORDINATOR}[participants.stock]\n"));
    assert_says(
        &report,
        &["line 8", "one table that names the participant's kind"],
    );
}

#[test]
fn participant_of_two_kinds_is_refused() {
    let second = "[participants.purchases.redis]\nurl = \"redis://127.0.0.1/\"\n";
    let report = refusal(&format!("{COORDINATOR}{PARTICIPANT}{second}"));
    assert_says(
        &report,
        &["line 9", "one table that names the participant's kind"],
    );
}

#[test]
fn listeners_that_are_equal_are_refused() {
    let text = COORDINATOR.replace("7651", "7650");
    let report = refusal(&format!("{text}{PARTICIPANT}"));
    assert_says(
        &report,
        &["line 2", "listen and admin_listen are both 127.0.0.1:7650"],
    );
}

#[test]
fn listener_without_a_port_is_refused() {
    for bad in ["127.0.0.1", "127.0.0.1:0", "shop:7650"] {
        let text = COORDINATOR.replace("127.0.0.1:7650", bad);
        let report = refusal(&format!("{text}{PARTICIPANT}"));
        assert_says(
            &report,
            &["line 5, column 10", bad, "an IP address and a port"],
        );
    }
}

#[test]
fn endpoint_that_is_not_http_is_refused() {
    for bad in [
        "127.0.0.1:7660",
        "ftp://h:1",
        "http://host",
        "http://h:1/path",
    ] {
        let sidecar = format!("[participants.stock.sidecar]\nendpoint = \"{bad}\"\n");
        let report = refusal(&format!("{COORDINATOR}{sidecar}"));
        assert_says(&report, &["line 9, column 12", "\"http://127.0.0.1:7660\""]);
    }
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    assert_says(&refusal("[coordinator\n"), &["line 1, column 13"]);
}

#[test]
fn sidecar_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    let text = "[sidecar]\nname = \"stock\"\nlisten = \"127.0.0.1:7660\"\n\n[redis]\nurl = \"redis://h/\"\n";
    std::fs::write(&path, text).unwrap();
    let redis = RedisSidecar::load_with(&path, &[]).unwrap();
    assert_eq!(redis.sidecar.name.as_str(), "stock");
    let report = MysqlSidecar::load_with(&path, &[]).unwrap_err().to_string();
    assert_says(&report, &["line 5", "unknown field `redis`", "`mysql`"]);
}

#[test]
fn report_shows_no_password() {
    let sidecar = "[participants.stock.sidecar]\nendpoint = \"mysql://app:s3cr@t@h:1/\"\n";
    let report = refusal(&format!("{COORDINATOR}{sidecar}"));
    assert_says(&report, &["mysql://app:***@h:1/"]);
    assert!(!report.contains("s3cr"), "{report}");
    // Whatever it holds.
    let sidecar = "[participants.stock.sidecar]\nendpoint = \"mysql://app:s3 cr'et@h:1/\"\n";
    let report = refusal(&format!("{COORDINATOR}{sidecar}"));
    assert!(
        !report.contains("s3") && !report.contains("et@"),
        "{report}"
    );
}

#[test]
fn store_that_nobody_is_for_is_named_unless_it_is_accepted() {
    let demanding = COORDINATOR
        .lines()
        .filter(|line| !line.starts_with("accept"));
    let demanding = demanding.collect::<Vec<&str>>().join("\n");
    let redis = "[participants.stock.redis]\nurl = \"redis://127.0.0.1/\"\n";
    let sidecar = "[participants.stock.sidecar]\nendpoint = \"http://10.0.0.7:7660\"\n";
    let report = refusal(&format!("{demanding}{PARTICIPANT}"));
    assert_says(
        &report,
        &["no unit deducted", "accept = [\"NO_STOCK_PARTICIPANT\"]"],
    );
    let report = refusal(&format!("{demanding}\n{redis}"));
    assert_says(
        &report,
        &["no row written", "accept = [\"NO_RECORD_PARTICIPANT\"]"],
    );
    for complete in [redis, sidecar] {
        load_text(&format!("{demanding}{PARTICIPANT}{complete}")).unwrap();
    }
    for accepting in [PARTICIPANT, redis] {
        load_text(&format!("{COORDINATOR}{accepting}")).unwrap();
    }
    let unknown = COORDINATOR.replace("NO_STOCK", "NO_STOCKS");
    assert_says(
        &refusal(&format!("{unknown}{PARTICIPANT}")),
        &["line 7", "NO_STOCKS_PARTICIPANT", "NO_STOCK_PARTICIPANT"],
    );
}

#[test]
fn statement_that_would_break_a_promise_is_refused_where_it_stands() {
    let redis = "[participants.stock.redis]\nurl = \"redis://127.0.0.1/\"\n";
    let with = |sql: &str| {
        format!(
            "{COORDINATOR}{redis}{PARTICIPANT}\n[[participants.purchases.mysql.statements]]\n\
             per = \"purchase\"\nsql = \"INSERT INTO orders (id) VALUES (:purchase_id)\"\n\n\
             [[participants.purchases.mysql.statements]]\nper = \"item\"\nsql = \"{sql}\"\n"
        )
    };
    load_text(&with(
        "INSERT INTO order_lines (id, sku) VALUES (:purchase_id, :sku)",
    ))
    .unwrap();
    for (sql, parts) in [
        (
            "INSERT INTO order_lines VALUES (LAST_INSERT_ID(), :sku)",
            ["LAST_INSERT_ID()", "VALUES ((SELECT id FROM orders"],
        ),
        ("REPLACE INTO t VALUES (:sku)", ["REPLACE", "write INSERT"]),
        (
            "INSERT INTO t VALUES (:sku) ON DUPLICATE KEY UPDATE n = n + 1",
            ["ON DUPLICATE KEY", "by an UPDATE"],
        ),
        ("TRUNCATE t", ["TRUNCATE", "DELETE FROM"]),
        ("UPDATE t SET a = @a", ["@a", "write the value itself"]),
        ("DELETE FROM t; COMMIT", ["';'", "`statements`"]),
        ("INSERT INTO t VALUES (:nothing)", [":nothing", ":quantity"]),
    ] {
        let report = refusal(&with(sql));
        assert_says(&report, &["line 20, column 7", parts[0], parts[1]]);
    }
}

#[test]
fn rows_that_a_statement_must_meet_are_checked_where_they_stand() {
    let redis = "[participants.stock.redis]\nurl = \"redis://127.0.0.1/\"\n";
    let with = |statement: &str| {
        format!(
            "{COORDINATOR}{redis}{PARTICIPANT}\n[[participants.purchases.mysql.statements]]\n\
             per = \"purchase\"\nsql = \"INSERT INTO orders (id) VALUES (:purchase_id)\"\n\n\
             [[participants.purchases.mysql.statements]]\nper = \"item\"\n{statement}\n"
        )
    };
    let update = "sql = \"UPDATE t SET n = n + 1 WHERE sku = :sku\"";
    for more in [
        "",
        "rows = 2",
        "rows = \"any\"",
        "rows = 1000000",
        "name = \"sold-2\"",
    ] {
        load_text(&with(&format!("{update}\n{more}"))).unwrap();
    }
    // What is wrong with one field is told at the field, and what is wrong with two at the statement.
    let plain = "sql = \"INSERT INTO t VALUES (:sku)\"";
    let returning = "sql = \"DELETE FROM t WHERE sku = :sku RETURNING id\"";
    for (statement, parts) in [
        (
            format!("{update}\nrows = 0"),
            ["line 21, column 8", "1 to 1000000, or \"any\""],
        ),
        (
            format!("{update}\nrows = -1"),
            ["line 21, column 8", "`-1`"],
        ),
        (
            format!("{update}\nrows = \"all\""),
            ["line 21, column 8", "\"all\""],
        ),
        (
            format!("{update}\nrows = [1]"),
            ["line 21, column 8", "\"any\""],
        ),
        (
            format!("{update}\nname = \"A cart\""),
            ["line 21, column 8", "a-z 0-9 - _"],
        ),
        (
            format!("{plain}\nrows = 1"),
            ["line 18, column 1", "leave `rows` out"],
        ),
        (
            returning.to_owned(),
            ["line 18, column 1", "rows = \"any\""],
        ),
        (
            "sql = \"UPDATE t SET n = x:sku\"".to_owned(),
            ["line 18, column 1", "put a space between"],
        ),
    ] {
        assert_says(&refusal(&with(&statement)), &parts);
    }
}

#[test]
fn settings_that_can_not_work_are_refused_at_their_table() {
    let redis = "[participants.stock.redis]\nurl = \"redis://127.0.0.1/\"\n";
    for (more, parts) in [
        (
            "sessions_max = 0",
            ["line 9", "sessions_max must be 1 to 256, not 0"],
        ),
        ("accept = [\"ALL\"]", ["line 9", "findings are"]),
        (
            "time_zone = \"here or there\"",
            ["line 9", "time_zone must be"],
        ),
        (
            "statements = [{ per = \"purchase\", sql = \"DELETE FROM t\" }]",
            ["line 9", "none inserts :purchase_id"],
        ),
    ] {
        let report = refusal(&format!("{COORDINATOR}{PARTICIPANT}{more}\n"));
        assert_says(&report, &parts);
    }
    let report = refusal(&format!("{COORDINATOR}{redis}wait_aof = true\n"));
    assert_says(&report, &["line 8", "wait_aof"]);
    let password = "[participants.purchases.mysql]\nurl = \"mysql://u:hunter#2@h/d\"\n";
    let report = refusal(&format!("{COORDINATOR}{password}"));
    assert_says(&report, &["line 8", "percent-encoded"]);
    assert!(!report.contains("hunter"), "{report}");
}

#[test]
fn statements_know_where_they_stand() {
    let statements = "statements = [\n  { per = \"purchase\", sql = \"INSERT INTO o (id) VALUES (:purchase_id)\" },\n]\n\
                      [[mysql.statements]]\n";
    let (inline, _) = statements.split_once("[[").unwrap();
    let config = load_text(&format!("{COORDINATOR}{PARTICIPANT}{inline}")).unwrap();
    let Some(ParticipantSettings::Mysql(settings)) = config.participants.values().next() else {
        panic!("{config:?}");
    };
    let position = settings.statements.as_ref().unwrap()[0].position.unwrap();
    assert_eq!((position.line, position.column), (12, 29));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    let text = "[sidecar]\nname = \"ledger\"\nlisten = \"127.0.0.1:7660\"\n\n[mysql]\nurl = \"mysql://h/d\"\n\
                [[mysql.statements]]\nper = \"purchase\"\nsql = \"\"\"\nINSERT INTO o (id)\nVALUES \
                (:purchase_id)\"\"\"\n";
    std::fs::write(&path, text).unwrap();
    let sidecar = MysqlSidecar::load_with(&path, &[]).unwrap();
    let position = sidecar.mysql.statements.unwrap()[0].position.unwrap();
    assert_eq!((position.line, position.column), (9, 7));
}
