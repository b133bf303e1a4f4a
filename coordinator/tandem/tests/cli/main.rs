//! The binary's client verbs against a coordinator that answers from memory.

#![allow(clippy::unwrap_used)]

mod failures;
mod fake;
mod log;
mod serve;

use std::process::{Output, Stdio};

use assert_cmd::Command;
use fake::{Fake, PERSONAL};
use serde_json::Value;

const SETTLE: [&str; 9] = [
    "tx",
    "settle",
    "shop.3.1042",
    "--participant",
    "stock",
    "--reason",
    "restored from backup",
    "--operator",
    "ada",
];

/// Runs `tandem` with both endpoints at `url`, without a terminal.
fn tandem(url: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tandem"))
        .env("TANDEM_ADMIN", url)
        .env("TANDEM_SERVER", url)
        .env_remove("TANDEM_LOG")
        .timeout(std::time::Duration::from_secs(30))
        .args(args)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

fn submit(url: &str, id: &str, more: &[&str]) -> Output {
    let args = [
        "purchase",
        "submit",
        "--id",
        id,
        "--customer",
        "c-1",
        "--item",
        "lamp:5:1999",
        "--currency",
        "EUR",
    ];
    tandem(url, &[&args, more].concat())
}

#[test]
fn list_prints_data_on_stdout_and_the_rest_on_stderr() {
    let fake = Fake::start();
    let listed = tandem(&fake.url, &["tx", "list", "--max", "2"]);
    assert_exit(&listed, 0);
    let lines: Vec<&str> = stdout(&listed).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("TRANSACTION"));
    assert!(lines[1].starts_with("shop.3.1042  committing"));
    assert!(lines[1].ends_with("stock stuck, 3 failed"));
    assert!(stderr(&listed).starts_with("2 of 2000;"));
}

#[test]
fn list_without_a_match_prints_no_data() {
    let fake = Fake::start();
    let listed = tandem(&fake.url, &["tx", "list", "--heuristic"]);
    assert_exit(&listed, 0);
    assert_eq!(stdout(&listed), "");
}

#[test]
fn json_has_the_protos_names() {
    let fake = Fake::start();
    let listed = tandem(&fake.url, &["tx", "list", "--max", "1", "--output", "json"]);
    assert_exit(&listed, 0);
    let document: Value = serde_json::from_str(stdout(&listed)).unwrap();
    let transaction = &document["transactions"][0];
    assert_eq!(document["total"], 2_000);
    assert_eq!(transaction["transaction_id"], "shop.3.1042");
    assert_eq!(transaction["state"], "TRANSACTION_STATE_COMMITTING");
    assert_eq!(transaction["begin_time"], "2026-03-01T12:00:00Z");
    assert_eq!(
        transaction["branches"][0]["progress"],
        "BRANCH_PROGRESS_STUCK"
    );
    assert_eq!(transaction["branches"][0]["retry_time"], Value::Null);
}

#[test]
fn list_of_purchases_goes_on_past_empty_pages_until_there_are_enough() {
    let fake = Fake::start();
    let listed = tandem(&fake.url, &["purchase", "list", "--max", "2"]);
    assert_exit(&listed, 0);
    let ids: Vec<&str> = stdout(&listed).lines().map(|line| &line[..3]).collect();
    assert_eq!(ids, ["PUR", "o-0", "o-2"]);
    assert!(stderr(&listed).contains("older ones follow with --page-token 3"));
    let rest = ["--page-token", "3", "--customer", "c-1", "--output", "json"];
    let listed = tandem(&fake.url, &[&["purchase", "list"], &rest[..]].concat());
    let document: Value = serde_json::from_str(stdout(&listed)).unwrap();
    let purchases = document["purchases"].as_array().unwrap();
    assert_eq!(purchases.len(), 1);
    assert_eq!(purchases[0]["purchase_id"], "o-4");
    assert_eq!(purchases[0]["content"]["customer_id"], "c-1");
    assert_eq!(document["next_page_token"], "");
}

#[test]
fn values_of_attributes_are_printed_only_where_they_are_asked_for() {
    let fake = Fake::start();
    for verb in [
        &["purchase", "get", "o-1"][..],
        &["purchase", "list"],
        &["tx", "show", "shop.3.1042"],
    ] {
        for form in ["table", "json"] {
            let asked = [verb, &["--output", form]].concat();
            let hidden = tandem(&fake.url, &asked);
            assert!(stdout(&hidden).contains("email"), "{hidden:?}");
            for said in [stdout(&hidden), stderr(&hidden)] {
                assert!(!said.contains(PERSONAL), "{asked:?}: {said}");
            }
            let shown = tandem(&fake.url, &[&asked[..], &["--show-attributes"]].concat());
            assert!(stdout(&shown).contains(PERSONAL), "{shown:?}");
        }
    }
}

#[test]
fn every_table_has_a_json_form() {
    let fake = Fake::start();
    for (args, field, expected) in [
        (
            &["tx", "show", "shop.3.1042"][..],
            "read_time",
            "2026-03-01T12:01:00Z",
        ),
        (&["stock", "lamp"], "sku", "lamp"),
        (
            &["purchase", "get", "o-1"],
            "state",
            "PURCHASE_STATE_PENDING",
        ),
        (
            &["purchase", "get", "o-1"],
            "content",
            r#"{"attributes":{"email":null},"currency":"","customer_id":"c-1","items":[]}"#,
        ),
    ] {
        let output = tandem(&fake.url, &[args, &["--output", "json"]].concat());
        let document: Value = serde_json::from_str(stdout(&output)).unwrap();
        let found = &document[field];
        let found = found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned);
        assert_eq!(found, expected);
    }
}

#[test]
fn show_tells_sources_and_what_may_be_done() {
    let fake = Fake::start();
    let shown = tandem(&fake.url, &["tx", "show", "shop.3.1042"]);
    assert_exit(&shown, 0);
    let page = stdout(&shown);
    for part in [
        "TRANSACTION shop.3.1042 (coordinator memory, read 2026-03-01T12:01:00.000Z)",
        "begun      2026-03-01T12:00:00.000Z (1m ago)",
        "stock        not asked  -     connection refused",
        "stock is stuck: only a person can end this branch.",
        "`tandem tx settle shop.3.1042 --participant stock --as committed --reason TEXT`",
    ] {
        assert!(page.contains(part), "{part:?} is missing in {page}");
    }
}

#[test]
fn show_of_an_unknown_transaction_prints_the_page_and_exits_1() {
    let fake = Fake::start();
    let shown = tandem(&fake.url, &["tx", "show", "shop.3.7"]);
    assert_exit(&shown, 1);
    assert!(stdout(&shown).contains("not known"));
    assert!(stderr(&shown).contains("does not know shop.3.7"));
}

#[test]
fn malformed_transaction_id_is_a_usage_error() {
    let output = tandem("http://127.0.0.1:9", &["tx", "show", "1042"]);
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("must be COORDINATOR.EPOCH.SEQUENCE"));
}

#[test]
fn settle_without_a_terminal_only_previews() {
    let fake = Fake::start();
    let settle = tandem(&fake.url, &[&SETTLE[..], &["--as", "committed"]].concat());
    assert_exit(&settle, 1);
    assert!(stdout(&settle).contains("preview, nothing is recorded yet: shop.3.1042 asks stock"));
    assert!(stderr(&settle).contains("add --yes"));
    let asked = fake.settled.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].preview);
}

#[test]
fn settle_with_yes_previews_then_records() {
    let fake = Fake::start();
    let settle = tandem(
        &fake.url,
        &[&SETTLE[..], &["--as", "committed", "--yes"]].concat(),
    );
    assert_exit(&settle, 0);
    assert!(stdout(&settle).contains("recorded: shop.3.1042 asks stock no more"));
    let asked = fake.settled.lock().unwrap();
    assert_eq!(
        asked.iter().map(|q| q.preview).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(asked[1].reason, "restored from backup");
    assert_eq!(asked[1].operator, "ada");
    assert!(!asked[1].force);
}

#[test]
fn repair_without_a_terminal_only_previews() {
    let fake = Fake::start();
    let repair = [
        "tx",
        "repair",
        "shop.3.1042",
        "--operator",
        "ada",
        "--reason",
        "why",
    ];
    let preview = tandem(&fake.url, &repair);
    assert_exit(&preview, 1);
    assert!(stdout(&preview).contains("preview, nothing is ordered yet: purchases: shop.3.1042"));
    assert!(stderr(&preview).contains("add --yes"));
    let done = tandem(&fake.url, &[&repair[..], &["--yes"]].concat());
    assert_exit(&done, 0);
    assert!(stdout(&done).contains("done: purchases: shop.3.1042 is given again"));
}

#[test]
fn audits_exit_code_tells_agreement_incompleteness_and_a_cut_apart() {
    let fake = Fake::start();
    assert_exit(&tandem(&fake.url, &["audit"]), 0);
    let since = |time| tandem(&fake.url, &["audit", "--since", time]);
    let incomplete = since("1995-01-01T00:00:00Z");
    assert_exit(&incomplete, 5);
    assert!(stdout(&incomplete).contains("NOT COMPARED: the log has forgotten"));
    assert_exit(&since("1980-01-01T00:00:00Z"), 4);
    assert_exit(&since("yesterday"), 2);
}

/// Runs a settlement on a pseudo-terminal (util-linux `script`) on which `answer` is typed.
fn settle_on_a_terminal(fake: &Fake, answer: &str) -> Output {
    let verb = format!(
        "{} tx settle shop.3.1042 --participant stock --as committed --reason x --admin {}",
        env!("CARGO_BIN_EXE_tandem"),
        fake.url
    );
    Command::new("script")
        .env("SUDO_USER", "ada")
        .args(["--quiet", "--return", "--command", &verb, "/dev/null"])
        .write_stdin(answer)
        .timeout(std::time::Duration::from_secs(30))
        .output()
        .unwrap()
}

#[test]
fn settle_on_a_terminal_asks_before_it_records() {
    let fake = Fake::start();
    let settle = settle_on_a_terminal(&fake, "n\n");
    assert_exit(&settle, 1);
    assert!(stdout(&settle).contains("Record this? [y/N]"));
    assert!(stdout(&settle).contains("nothing was recorded"));
    assert_eq!(fake.settled.lock().unwrap().len(), 1);

    let settle = settle_on_a_terminal(&fake, "y\n");
    assert_exit(&settle, 0);
    assert!(stdout(&settle).contains("recorded: shop.3.1042 asks stock no more"));
    let asked = fake.settled.lock().unwrap();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2].operator, "ada");
}

#[test]
fn settle_against_the_decision_needs_force() {
    let fake = Fake::start();
    let against = [&SETTLE[..], &["--as", "rolled-back", "--yes"]].concat();
    let settle = tandem(&fake.url, &against);
    assert_exit(&settle, 1);
    assert!(stdout(&settle).contains("CONTRADICTS the stored decision"));
    assert!(stderr(&settle).contains("--force"));
    assert_eq!(fake.settled.lock().unwrap().len(), 1);

    let settle = tandem(
        &fake.url,
        &[&against[..], &["--force", "--output", "json"]].concat(),
    );
    assert_exit(&settle, 0);
    let document: Value = serde_json::from_str(stdout(&settle)).unwrap();
    assert_eq!(document["recorded"], true);
    assert_eq!(document["settlement"], "SETTLEMENT_ROLLED_BACK");
    assert!(fake.settled.lock().unwrap()[2].force);
}

#[test]
fn settle_in_json_without_yes_says_that_nothing_was_recorded() {
    let fake = Fake::start();
    let args = [&SETTLE[..], &["--as", "committed", "--output", "json"]].concat();
    let settle = tandem(&fake.url, &args);
    assert_exit(&settle, 1);
    let document: Value = serde_json::from_str(stdout(&settle)).unwrap();
    assert_eq!(document["recorded"], false);
}

#[test]
fn committed_purchase_is_printed() {
    let fake = Fake::start();
    let output = submit(&fake.url, "o-1", &["--wait-for", "decided"]);
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("state        committed"));
    assert!(stdout(&output).contains("applied      not everywhere yet"));
}

#[test]
fn refused_purchase_shows_its_reason_and_exits_1() {
    let fake = Fake::start();
    let output = submit(&fake.url, "refused", &[]);
    assert_exit(&output, 1);
    assert_eq!(stdout(&output), "");
    let told = stderr(&output);
    for part in [
        "3 available, 5 wanted [FAILED_PRECONDITION INSUFFICIENT_STOCK]",
        "sku: lamp",
        "Nothing of it was kept in either store.",
    ] {
        assert!(told.contains(part), "{part:?} is missing in {told}");
    }
}

#[test]
fn outcome_that_is_not_known_is_neither_success_nor_refusal() {
    let fake = Fake::start();
    let output = submit(&fake.url, "open", &[]);
    assert_exit(&output, 4);
    assert!(stderr(&output).contains("OUTCOME_UNKNOWN"));
    let pending = tandem(&fake.url, &["purchase", "get", "o-1"]);
    assert_exit(&pending, 4);
    assert!(stdout(&pending).contains("state        pending"));
}

#[test]
fn answer_of_a_server_is_told_apart_from_no_server() {
    let fake = Fake::start();
    let retried = tandem(&fake.url, &["tx", "retry", "shop.3.7"]);
    assert_exit(&retried, 1);
    assert!(stderr(&retried).contains("no transaction shop.3.7 [NOT_FOUND]"));
}

#[test]
fn store_that_denies_the_access_still_exits_1() {
    let fake = Fake::start();
    let retried = tandem(&fake.url, &["participants", "retry", "stock"]);
    assert_exit(&retried, 1);
    assert!(stdout(&retried).contains("stock: not connected: stock says WRONGPASS"));
}

#[test]
fn server_that_is_not_there_exits_3_and_says_what_was_tried() {
    let socket = fake::refusing_port();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let output = tandem(&url, &["participants"]);
    assert_exit(&output, 3);
    let told = stderr(&output);
    for part in [
        url.as_str(),
        "Connection refused",
        "--admin (or TANDEM_ADMIN)",
    ] {
        assert!(told.contains(part), "{part:?} is missing in {told}");
    }
}

#[test]
fn server_that_does_not_answer_in_time_exits_4() {
    let fake = Fake::start();
    let output = tandem(&fake.url, &["participants", "--timeout", "200ms"]);
    assert_exit(&output, 4);
    assert!(
        stderr(&output).contains("--timeout was 200ms"),
        "{output:?}"
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn something_that_listens_and_never_speaks_ends_with_the_deadline() {
    let listener = fake::listener();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let output = tandem(&url, &["stock", "lamp", "--timeout", "200ms"]);
    assert_exit(&output, 4);
}

#[test]
fn closed_pipe_is_not_an_error() {
    let fake = Fake::start();
    for format in ["table", "json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["tx", "list", "--output", format, "--admin", &fake.url])
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_exit(&output, 0);
        assert!(!stderr(&output).contains("panicked"), "{output:?}");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    for verb in [
        &["--help"][..],
        &["tx", "settle", "--help"],
        &["purchase", "submit", "--help"],
    ] {
        let output = tandem("http://127.0.0.1:9", verb);
        assert_exit(&output, 0);
        assert!(
            stdout(&output).contains("3  the server can't be reached"),
            "{verb:?}"
        );
    }
}

#[test]
fn malformed_configuration_exits_2_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, "[coordinator]\nid = \"The Shop\"\n").unwrap();
    let output = tandem(
        "http://127.0.0.1:9",
        &["serve", "--config", path.to_str().unwrap()],
    );
    assert_exit(&output, 2);
    let told = stderr(&output);
    assert!(told.contains("tandem.toml"), "{told}");
    assert!(told.contains("line 2, column 6"), "{told}");
}

#[test]
fn missing_configuration_exits_2_with_the_cause() {
    let output = tandem(
        "http://127.0.0.1:9",
        &["serve", "--config", "/nowhere/x.toml"],
    );
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("/nowhere/x.toml: No such file"));
}

#[test]
fn configuration_is_checked_by_itself_and_at_its_stores() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = fake::refusing_port();
    let redis = format!("url = \"redis://{}/0\"\n", nobody.local_addr().unwrap());
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let check = |path: &str, more: &[&str]| {
        let args = [&["config", "check", "--config", path][..], more].concat();
        tandem("http://127.0.0.1:9", &args)
    };
    let daemon = format!(
        "[coordinator]\nid = \"shop\"\ndata_dir = \"log\"\nlisten = \"127.0.0.1:7650\"\nadmin_listen = \
         \"127.0.0.1:7651\"\naccept = [\"NO_RECORD_PARTICIPANT\"]\n[participants.stock.redis]\n{redis}"
    );
    let sidecar =
        format!("[sidecar]\nname = \"stock\"\nlisten = \"127.0.0.1:7660\"\n[redis]\n{redis}");
    for (name, text) in [("daemon.toml", daemon), ("sidecar.toml", sidecar)] {
        let path = write(name, &text);
        let offline = check(&path, &["--offline"]);
        assert_exit(&offline, 0);
        assert!(stdout(&offline).contains("keeps its rules"), "{offline:?}");
        let asked = check(&path, &[]);
        assert_exit(&asked, 3);
        assert!(
            stdout(&asked).contains("stock: could not be asked"),
            "{asked:?}"
        );

        let wrong = write(name, &format!("{text}wait_aof = true\n"));
        let refused = check(&wrong, &["--output", "json"]);
        assert_exit(&refused, 2);
        let document: Value = serde_json::from_str(stdout(&refused)).unwrap();
        let refusal = document["refusal"].as_str().unwrap();
        assert!(
            refusal.contains("line ") && refusal.contains("wait_aof"),
            "{refusal}"
        );
        assert_eq!(document["participants"], Value::Array(Vec::new()));
    }
    let missing = check("/nowhere/x.toml", &[]);
    assert_exit(&missing, 2);
    assert!(stdout(&missing).contains("/nowhere/x.toml: No such file"));
    assert!(!folder.path().join("log").exists());
}
