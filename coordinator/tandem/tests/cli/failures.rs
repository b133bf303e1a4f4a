//! What a program is told when a verb fails, and what a person who has only a code.

use serde_json::{Value, json};

use super::fake::{Fake, refusing_port};
use super::{assert_exit, stderr, stdout, submit, tandem};

const JSON: [&str; 2] = ["--output", "json"];

#[test]
fn failure_is_a_document_on_stdout_and_words_on_stderr() {
    let nobody = refusing_port();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    let unreachable = tandem(&url, &[&["tx", "list"][..], &JSON].concat());
    let misused = tandem(&url, &[&["tx", "list", "--nonsense"][..], &JSON].concat());
    let fake = Fake::start();
    let refused = submit(&fake.url, "refused", &JSON);
    for (failed, status, code, reason) in [
        (unreachable, 3, "UNREACHABLE", Value::Null),
        (misused, 2, "USAGE", Value::Null),
        (
            refused,
            1,
            "FAILED_PRECONDITION",
            json!("INSUFFICIENT_STOCK"),
        ),
    ] {
        assert_exit(&failed, status);
        let document: Value = serde_json::from_str(stdout(&failed)).unwrap();
        assert_eq!(document["code"], code, "{document:#}");
        assert_eq!(document["reason"], reason, "{document:#}");
        assert_eq!(document["exit_status"], status, "{document:#}");
        assert!(
            document["detail"].as_str().unwrap().len() > 3,
            "{document:#}"
        );
        assert!(stderr(&failed).len() > 10, "{failed:?}");
    }
}

#[test]
fn failure_is_not_printed_where_a_document_says_it_already() {
    let fake = Fake::start();
    let unknown = tandem(
        &fake.url,
        &[&["tx", "show", "shop.9.9"][..], &JSON].concat(),
    );
    assert_exit(&unknown, 1);
    let document: Value = serde_json::from_str(stdout(&unknown)).unwrap();
    assert_eq!(document["transaction"], Value::Null);
}

#[test]
fn code_is_explained_without_asking_anybody() {
    let told = tandem("http://127.0.0.1:9", &["explain", "locked"]);
    assert_exit(&told, 0);
    assert!(stdout(&told).contains("What to do: "), "{told:?}");
    let misspelt = tandem("http://127.0.0.1:9", &["explain", "LOKCED"]);
    assert_exit(&misspelt, 1);
    assert!(stderr(&misspelt).contains("is it LOCKED?"), "{misspelt:?}");
    let all = tandem("http://127.0.0.1:9", &[&["explain"][..], &JSON].concat());
    let document: Value = serde_json::from_str(stdout(&all)).unwrap();
    assert!(document["codes"].as_array().unwrap().len() > 100);
}

#[test]
fn shells_and_man_know_every_verb() {
    let script = tandem("http://127.0.0.1:9", &["completions", "bash"]);
    assert_exit(&script, 0);
    assert!(
        stdout(&script).contains("tandem__subcmd__tx"),
        "{}",
        stdout(&script)
    );
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    let written = tandem("http://127.0.0.1:9", &["man", pages.to_str().unwrap()]);
    assert_exit(&written, 0);
    for page in ["tandem.1", "tandem-tx-settle.1", "tandem-audit.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains("xit codes"), "{page}: {text}");
    }
}
