//! What the sections `[tls]` and `[access]`, and the listeners, may say together.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::access::{Role, Who};

const TLS: &str = "[tls]\ncertificate_file = \"tls/c.pem\"\nkey_file = \"/etc/k.pem\"\n";

/// A daemon's file that listens there and has these sections.
fn file(listen: &str, sections: &str) -> String {
    format!(
        "[coordinator]\nid = \"shop\"\ndata_dir = \"log\"\nlisten = {listen}\nadmin_listen = \
         \"127.0.0.1:7651\"\n{sections}\n[participants.stock.redis]\nurl = \"redis://127.0.0.1/\"\n\
         [participants.purchases.mysql]\nurl = \"mysql://app@127.0.0.1:3306/shop\"\n"
    )
}

fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn refusal(listen: &str, sections: &str) -> String {
    load(&file(listen, sections)).unwrap_err().to_string()
}

#[test]
fn plain_text_leaves_the_machine_only_where_the_file_says_so() {
    for here in ["\"127.0.0.1:7650\"", "\"127.8.0.1:7650\"", "\"[::1]:7650\""] {
        let config = load(&file(here, "")).unwrap();
        assert!(!config.coordinator.listen.is_exposed(false), "{here}");
    }
    for elsewhere in ["10.0.0.5:7650", "0.0.0.0:7650", "[::]:7650"] {
        let report = refusal(&format!("\"{elsewhere}\""), "");
        let mended = format!("{{ address = \"{elsewhere}\", plaintext = true }}");
        assert!(report.contains(&format!("listen = {mended}")), "{report}");
        assert!(report.contains("[tls]"), "{report}");
        // Who writes what he is told has what he wants.
        let config = load(&file(&mended, "")).unwrap();
        assert!(config.coordinator.listen.is_exposed(false));
        let encrypted = format!("{TLS}[access]\n");
        let config = load(&file(&format!("\"{elsewhere}\""), &encrypted)).unwrap();
        assert!(!config.coordinator.listen.is_exposed(true));
    }
    let sidecar = "[sidecar]\nname = \"stock\"\nlisten = \"10.0.0.5:7660\"\n[redis]\nurl = \"redis://127.0.0.1/\"\n";
    let report = RedisSidecar::read(Path::new("sidecar.toml"), sidecar).unwrap_err();
    assert!(report.to_string().contains("plaintext = true"), "{report}");
}

#[test]
fn listener_that_is_mistyped_is_refused_with_an_example() {
    for wrong in [
        "\"localhost\"",
        "\"127.0.0.1:0\"",
        "7650",
        "{ address = \"7650\" }",
        "{ plaintext = true }",
        "{ address = \"127.0.0.1:7650\", tls = true }",
    ] {
        let report = refusal(wrong, "");
        assert!(report.contains("line 4"), "{report}");
    }
    assert!(refusal("\"localhost\"", "").contains("\"127.0.0.1:7650\""));
}

#[test]
fn sections_that_would_let_nobody_or_everybody_in_are_refused() {
    let listen = "\"127.0.0.1:7650\"";
    assert!(refusal(listen, TLS).contains("add [access]"));
    let named = "[access]\nclient = [\"cert:app.example\"]\n";
    assert!(refusal(listen, named).contains("client_ca_file"));
    assert!(refusal(listen, &format!("{TLS}{named}")).contains("client_ca_file"));
    for wrong in [
        "[access]\nclient = [\"app.example\"]\n",
        "[access]\nadmin = []\n",
        "[access]\nparticipant = []\n",
        "[access.coordinators]\nShop = [\"uid:1\"]\n",
        "[tls]\ncertificate_file = \"c.pem\"\n",
    ] {
        let report = refusal(listen, wrong);
        assert!(report.contains("line "), "{report}");
    }
}

#[test]
fn who_has_which_role_is_read_and_paths_start_at_the_file() {
    let sections = format!(
        "{TLS}client_ca_file = \"ca.pem\"\n[access]\ntokens_file = \"tokens.toml\"\nclient = \
         [\"cert:App.example\"]\noperator_admin = [\"uid:1000\"]\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, file("\"127.0.0.1:7650\"", &sections)).unwrap();
    let config = Config::load(&path).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate_file, folder.path().join("tls/c.pem"));
    assert_eq!(tls.key_file, Path::new("/etc/k.pem"));
    assert_eq!(tls.client_ca_file, Some(folder.path().join("ca.pem")));
    let access = config.access.unwrap();
    assert_eq!(
        access.tokens_file.as_deref(),
        Some(&*folder.path().join("tokens.toml"))
    );
    let app = Who::Certificate("app.example".to_owned());
    let roles: Vec<(Role, &Who)> = access.roles().collect();
    assert_eq!(
        roles,
        [
            (Role::Client, &app),
            (Role::OperatorAdmin, &Who::Uid(1_000))
        ]
    );
}

#[test]
fn socket_has_a_path_that_can_be_connected_to_and_a_mode() {
    let socket = |listen: &str| match load(&file(listen, "")).unwrap().coordinator.listen.address {
        Address::Unix(socket) => socket,
        Address::Tcp(address) => panic!("{address}"),
    };
    let plain = socket("\"unix:/run/shop.sock\"");
    assert_eq!(
        (plain.path.as_path(), plain.mode),
        (Path::new("/run/shop.sock"), 0o660)
    );
    let told = "{ address = \"unix:shop.sock\", mode = \"0600\", group = \"ops\" }";
    let told = socket(told);
    assert!(told.path.is_absolute(), "{:?}", told.path);
    assert_eq!((told.mode, told.group.as_deref()), (0o600, Some("ops")));
    let long = format!("\"unix:/{}\"", "x".repeat(107));
    let report = refusal(&long, "");
    assert!(
        report.contains("108 bytes, and 107 is the most"),
        "{report}"
    );
    for wrong in [
        "\"unix:\"",
        "{ address = \"unix:/s\", mode = \"0888\" }",
        "{ address = \"unix:/s\", mode = \"1777\" }",
        "{ address = \"127.0.0.1:7650\", mode = \"0600\" }",
    ] {
        assert!(refusal(wrong, "").contains("line 4"), "{wrong}");
    }
}

#[test]
fn operators_have_a_socket_where_the_file_names_none() {
    let text = file("\"127.0.0.1:7650\"", "").replace("admin_listen = \"127.0.0.1:7651\"\n", "");
    let config = load(&text).unwrap();
    assert_eq!(config.coordinator.admin_listen, None);
    let [first, second] = config.admin_sockets().map(|socket| socket.path);
    assert_eq!(first, Path::new("/run/tandem/shop/admin.sock"));
    assert_eq!(second, config.coordinator.data_dir.join("admin.sock"));
}
