//! A coordinator with TLS and roles, and the command line as one who has them or has not.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::role::{Place, Role};

const TOKEN: &str = "token-of-who-watches";

/// Files of a CA, and of a certificate for each of these names that it has signed, under the name.
fn write_certificates(folder: &Path, ca: &str, names: &[&str]) {
    let mut of = CertificateParams::default();
    of.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(of, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join(ca), issuer.pem()).unwrap();
    for name in names {
        let key = KeyPair::generate().unwrap();
        let of = CertificateParams::new(vec![(*name).to_owned()]).unwrap();
        let certificate = of.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A coordinator that admits `ann` to everything of operators, and who holds the token to looking.
fn place() -> Place {
    let place = Place::new(Role::Coordinator);
    let folder = place.folder.path();
    write_certificates(folder, "ca.pem", &["localhost", "ann"]);
    write_certificates(folder, "stranger.pem", &["eve"]);
    let tokens = format!("[watch]\nroles = [\"operator\"]\ntoken = \"{TOKEN}\"\n");
    std::fs::write(folder.join("tokens.toml"), tokens).unwrap();
    std::fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
    std::fs::write(folder.join("other-token"), "token-of-nobody-here\n").unwrap();
    let mut settings = std::fs::read_to_string(place.config()).unwrap();
    settings.push_str(
        "\n[tls]\ncertificate_file = \"localhost.pem\"\nkey_file = \"localhost.key\"\nclient_ca_file = \
         \"ca.pem\"\n[access]\ntokens_file = \"tokens.toml\"\noperator_admin = [\"cert:ann\"]\n",
    );
    std::fs::write(place.config(), settings).unwrap();
    place
}

struct Asked {
    code: Option<i32>,
    says: String,
}

/// An operator's verb, with what its files in the folder show.
fn ask(place: &Place, scheme: &str, verb: &[&str], shows: &[(&str, &str)]) -> Asked {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let port = place.listeners()[1];
    command
        .args(verb)
        .arg("--admin")
        .arg(format!("{scheme}://localhost:{port}"));
    for (flag, file) in shows {
        command.arg(flag).arg(place.folder.path().join(file));
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().unwrap();
    let says = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert!(!says.contains("token-of"), "a token is told: {says}");
    Asked {
        code: status.code(),
        says,
    }
}

const CA: (&str, &str) = ("--ca-file", "ca.pem");
const LOOK: &[&str] = &["participants"];
const CHANGE: &[&str] = &["participants", "retry", "stock"];

#[test]
fn command_line_does_what_its_certificate_or_token_is_granted() {
    let place = place();
    let log = place.folder.path().join("stderr");
    let _running = place.start(std::fs::File::create(&log).unwrap());
    let ann = [
        CA,
        ("--certificate-file", "ann.pem"),
        ("--key-file", "ann.key"),
    ];
    let begun = std::time::Instant::now();
    while ask(&place, "https", LOOK, &ann).code == Some(3) {
        assert!(begun.elapsed() < crate::role::SOON, "it does not listen");
    }
    let retried = ask(&place, "https", CHANGE, &ann);
    assert!(!retried.says.contains("ROLE_MISSING"), "{}", retried.says);
    let watch = [CA, ("--token-file", "token")];
    let looked = ask(&place, "https", LOOK, &watch);
    assert_eq!(looked.code, Some(0), "{}", looked.says);
    for (what, shows, code, part) in [
        (
            CHANGE,
            &watch[..],
            1,
            "the role operator_admin, which token watch has not",
        ),
        (LOOK, &[CA], 1, "nothing tells who calls"),
        (
            LOOK,
            &[CA, ("--token-file", "other-token")],
            1,
            "the token is none",
        ),
        (
            LOOK,
            &[("--ca-file", "stranger.pem")],
            3,
            "invalid peer certificate",
        ),
        (LOOK, &[], 2, "--ca-file"),
    ] {
        let asked = ask(&place, "https", what, shows);
        assert_eq!(asked.code, Some(code), "{shows:?}: {}", asked.says);
        assert!(asked.says.contains(part), "{shows:?}: {}", asked.says);
    }
    // Whether that is noticed before a call is made depends on who is faster.
    let eve = [
        CA,
        ("--certificate-file", "eve.pem"),
        ("--key-file", "eve.key"),
    ];
    for refused in [
        ask(&place, "https", LOOK, &eve),
        ask(&place, "http", LOOK, &[]),
    ] {
        assert!(matches!(refused.code, Some(3 | 4)), "{}", refused.says);
        assert!(!refused.says.contains("NAME"), "{}", refused.says);
    }
    assert!(!std::fs::read_to_string(log).unwrap().contains(TOKEN));
}
