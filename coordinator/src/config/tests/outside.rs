//! What is taken from outside of the file: secrets, the environment, and what is said in its place.

use secrecy::ExposeSecret;

use super::*;

/// A folder with a configuration and with files of secrets.
fn beside(files: &[(&str, &str)], text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, held) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, held).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, private).unwrap();
    }
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

#[test]
fn secrets_come_from_files_beside_the_configuration() {
    let text = format!(
        "{COORDINATOR}[participants.purchases.mysql]\nurl_file = \"url\"\n\
         [participants.stock.redis]\nurl = \"redis://shop@h/\"\npassword_file = \"password\"\n"
    );
    let files = [("url", "mysql://me:h%23@h/d\n"), ("password", "hunter#2\n")];
    let config = beside(&files, &text).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let settings: Vec<&ParticipantSettings> = config.participants.values().collect();
    let [
        ParticipantSettings::Mysql(mysql),
        ParticipantSettings::Redis(redis),
    ] = settings[..]
    else {
        panic!("{config:?}");
    };
    assert_eq!(mysql.url.expose_secret(), "mysql://me:h%23@h/d");
    let password = redis.password.as_ref().unwrap();
    assert_eq!(password.expose_secret(), "hunter#2");
    let printed = format!("{config:?}");
    assert!(
        !printed.contains("h%23") && !printed.contains("hunter"),
        "{printed}"
    );
}

#[test]
fn secret_that_is_missing_or_wrong_is_told_where_it_is_named() {
    let with =
        |settings: &str| format!("{COORDINATOR}[participants.purchases.mysql]\n{settings}\n");
    let password = [
        ("password", "hunter#2\n"),
        ("url", "mysql://me:hunter#2@h/d"),
    ];
    for (settings, parts) in [
        (
            "url_file = \"none\"",
            ["line 9, column 12: can't read none", "No such file"],
        ),
        (
            "url_file = 5",
            ["line 9, column 12: url_file", "path of a file"],
        ),
        ("url_file = \"url\"", ["line 8", "percent-encoded"]),
        (
            "url = \"mysql://h/d\"\nurl_file = \"url\"",
            ["line 10, column 12: url_file", "leave one out"],
        ),
        (
            "url = \"mysql://me:a@h/d\"\npassword_file = \"password\"",
            ["line 8", "leave one out"],
        ),
        (
            "url = \"mysql://h/d\"\naccept = [\"a\\\\b${TANDEM_NO_SUCH}\"]",
            [
                "line 10, column 16: the environment variable TANDEM_NO_SUCH",
                "$${",
            ],
        ),
        (
            "url = \"mysql://h/d\"\ntime_zone = \"${\"",
            ["line 10, column 14", "$${"],
        ),
        (
            "password = 7\nurl = \"mysql://h/d\"",
            ["line 9, column 12", "password = ***"],
        ),
    ] {
        let report = beside(&password, &with(settings)).unwrap_err().to_string();
        assert_says(&report, &parts);
        assert!(!report.contains("hunter"), "{report}");
    }
}

#[test]
fn settings_said_elsewhere_take_the_files_place_and_are_told_by_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    let text =
        format!("{COORDINATOR}[limits]\nsweep_interval_s = 7\nworker_threads = 2\n{PARTICIPANT}");
    std::fs::write(&path, text).unwrap();
    let with = |set: &[&str]| {
        let set: Vec<Override> = set.iter().map(|one| one.parse().unwrap()).collect();
        Config::load_with(&path, &set)
    };
    let config = with(&[
        "limits.sweep_interval_s=9",
        "retention.age_s=5",
        "coordinator.id=other",
        "participants.purchases.mysql.accept=[\"READ_ONLY\"]",
    ])
    .unwrap();
    assert_eq!(config.limits.sweep_interval, Duration::from_secs(9));
    assert_eq!(config.limits.worker_threads, 2);
    assert_eq!(config.retention.age, Duration::from_secs(5));
    assert_eq!(config.coordinator.id.as_str(), "other");
    for (set, said) in [
        (
            "limits.sweep_interval_s=0",
            "--set limits.sweep_interval_s: invalid value: integer `0`",
        ),
        (
            "limits.nothing=0",
            "--set limits.nothing: unknown field `nothing`",
        ),
        (
            "coordinator.listen=a b",
            "--set coordinator.listen: invalid value: string \"a b\"",
        ),
        (
            "coordinator.id=${TANDEM_NO_SUCH}",
            "--set coordinator.id: the environment variable",
        ),
    ] {
        assert_says(&with(&[set]).unwrap_err().to_string(), &[said]);
    }
}

#[test]
fn what_the_environment_has_is_used_and_not_told() {
    let value = std::env::var("PATH").unwrap();
    let text = COORDINATOR.replace("\"log\"", "\"${PATH}/$${log}\"");
    let config = load_text(&format!("{text}{PARTICIPANT}")).unwrap();
    let expected = format!("{value}/${{log}}");
    assert_eq!(config.coordinator.data_dir, Path::new(&expected));
    for (from, to) in [
        ("\"127.0.0.1:7650\"", "\"${PATH}\""),
        ("\"127.0.0.1:7650\"", "\"x ${PATH}\""),
        ("\"NO_STOCK_PARTICIPANT\"", "\"${PATH}\""),
    ] {
        let report = refusal(&format!("{}{PARTICIPANT}", COORDINATOR.replace(from, to)));
        assert_says(&report, &["line ", "${PATH}"]);
        assert!(!report.contains(&value), "{report}");
    }
}
