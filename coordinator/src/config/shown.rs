//! Reports about a configuration, without its secrets.

use std::path::Path;

use super::ConfigError;

/// What a file breaks a rule with, for a person.
pub(super) fn malformed(path: &Path, report: &str) -> ConfigError {
    ConfigError::Malformed {
        path: path.into(),
        report: without_passwords(report),
    }
}

/// The text without passwords, since a report shows the line that it is about, and ends in logs.
fn without_passwords(text: &str) -> String {
    let shown = without_urls_passwords(text);
    let lines = shown.split_inclusive('\n').map(without_settings);
    lines.collect()
}

/// The line without the value of a setting that is a password, or a URL that does not look like one.
fn without_settings(line: &str) -> String {
    for (name, is_secret) in [
        ("password", (|_| true) as fn(&str) -> bool),
        ("url", |value| !value.contains("://")),
    ] {
        for (at, _) in line.match_indices(name) {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let is_longer = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let after = after.trim_start_matches(['"', '\'', ' ', '\t']);
            if let Some(value) = after
                .strip_prefix('=')
                .filter(|value| !is_longer && is_secret(value))
            {
                let kept = line.len() - value.len();
                let end = if line.ends_with('\n') { "\n" } else { "" };
                return format!("{} ***{end}", &line[..kept]);
            }
        }
    }
    line.to_owned()
}

/// The text with the passwords of its URLs starred out, since a report ends in logs.
fn without_urls_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + "://".len());
        shown.push_str(before);
        // A password may hold anything by mistake, so the last @ of the line counts.
        let url = after.lines().next().unwrap_or_default();
        rest = match (url.find(':'), url.rfind('@')) {
            (Some(colon), Some(at)) if colon < at => {
                shown.push_str(&url[..colon]);
                shown.push_str(":***");
                &after[at..]
            }
            _ => after,
        };
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown_wherever_it_stands() {
        for (text, shown) in [
            ("a http://h:1/ b", "a http://h:1/ b"),
            (
                "1 | url = \"mysql://u:p@h\"",
                "1 | url = \"mysql://u:***@h\"",
            ),
            (
                "1 | url = \"u:hunter2@h\"\n  | ^\n",
                "1 | url = ***\n  | ^\n",
            ),
            ("1 | password = 'a=b'\nb", "1 | password = ***\nb"),
            ("m = { \"password\"=5, x = 1 }", "m = { \"password\"= ***"),
            ("password_file = \"a\"", "password_file = \"a\""),
            ("my_password = 3", "my_password = 3"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
