//! A configuration as it takes effect, as a file that has every setting. A secret is shown as where it comes
//! from, and one that stands in the file as `***`.

use std::fmt::Write;

use toml::{Table, Value};

use super::settings::{Section, Setting, Unsaid};

/// What stands for a secret that the file itself has.
const HIDDEN: &str = "***";

/// A file with all defaults, and with an example of what has none and must be said.
pub(crate) fn defaults() -> String {
    let required = |section: Section| -> Table {
        let required = section.settings().filter_map(|one| match one.unsaid {
            Unsaid::Required(example) => Some((one.name.to_owned(), value(example))),
            Unsaid::Is(_) | Unsaid::Nothing(_) => None,
        });
        required.collect()
    };
    let mut page = Page::default();
    page.section(
        Section::Coordinator,
        "[coordinator]",
        &required(Section::Coordinator),
    );
    page.section(Section::Limits, "[limits]", &Table::new());
    page.section(Section::Retention, "[retention]", &Table::new());
    page.section(
        Section::Mysql,
        "[participants.purchases.mysql]",
        &required(Section::Mysql),
    );
    page.section(
        Section::Redis,
        "[participants.stock.redis]",
        &required(Section::Redis),
    );
    for other in [
        Section::Attribute,
        Section::Tls,
        Section::Access,
        Section::Statement,
        Section::SidecarEndpoint,
    ] {
        let mut apart = Page::default();
        apart.section(other, other.heading(), &required(other));
        page.0.push('\n');
        let lines = apart.0.trim().lines();
        lines.for_each(|line| page.line(&format!("# {}", line.trim_start_matches("# "))));
    }
    page.0
}

/// The file of a coordinator or of a sidecar, which was read before and keeps its rules.
pub(crate) fn effective(file: &Table) -> String {
    let empty = Table::new();
    let of = |name: &str| file.get(name).and_then(Value::as_table);
    let mut page = Page::default();
    if let Some(sidecar) = of("sidecar") {
        page.section(Section::Sidecar, "[sidecar]", sidecar);
    } else {
        page.section(
            Section::Coordinator,
            "[coordinator]",
            of("coordinator").unwrap_or(&empty),
        );
        page.section(Section::Limits, "[limits]", of("limits").unwrap_or(&empty));
        page.section(
            Section::Retention,
            "[retention]",
            of("retention").unwrap_or(&empty),
        );
    }
    for (section, name) in [(Section::Tls, "tls"), (Section::Access, "access")] {
        if let Some(given) = of(name) {
            page.section(section, section.heading(), given);
        }
    }
    for (name, attribute) in tables(of("attributes").unwrap_or(&empty)) {
        page.section(
            Section::Attribute,
            &format!("[attributes.{name}]"),
            attribute,
        );
    }
    for (name, participant) in tables(of("participants").unwrap_or(&empty)) {
        for (kind, store) in tables(participant) {
            page.store(&format!("participants.{name}.{kind}"), kind, store);
        }
    }
    for kind in ["mysql", "redis"] {
        if let Some(store) = of(kind) {
            page.store(kind, kind, store);
        }
    }
    page.0
}

fn tables(table: &Table) -> impl Iterator<Item = (&String, &Table)> {
    let named = table.iter();
    named.filter_map(|(name, value)| Some((name, value.as_table()?)))
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn store(&mut self, path: &str, kind: &str, store: &Table) {
        let section = match kind {
            "mysql" => Section::Mysql,
            "redis" => Section::Redis,
            _ => Section::SidecarEndpoint,
        };
        self.section(section, &format!("[{path}]"), store);
        let statements = store.get("statements").and_then(Value::as_array);
        for statement in statements.into_iter().flatten().filter_map(Value::as_table) {
            self.section(
                Section::Statement,
                &format!("[[{path}.statements]]"),
                statement,
            );
        }
    }

    fn section(&mut self, section: Section, heading: &str, given: &Table) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(heading);
        for setting in section.settings() {
            let Setting {
                name, what, range, ..
            } = setting;
            self.line(&format!("# {what}: {range}"));
            let line = match (given.get(*name), setting.unsaid) {
                (Some(value), _) => format!("{name} = {}", shown(name, value)),
                (None, Unsaid::Is(default)) => format!("{name} = {default}"),
                (None, Unsaid::Required(example) | Unsaid::Nothing(example)) => {
                    format!("# {name} = {example}")
                }
            };
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }
}

/// A value as TOML has it, without what nobody may read.
fn shown(name: &str, value: &Value) -> String {
    let hidden = match (name, value.as_str()) {
        ("password", Some(text)) if !is_from_environment(text) => Some(HIDDEN.to_owned()),
        ("url", Some(text)) => without_password(text),
        _ => None,
    };
    hidden.map_or_else(|| value.to_string(), |text| Value::from(text).to_string())
}

/// A url that has a password of its own, without it.
fn without_password(url: &str) -> Option<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (!is_from_environment(url)).then(|| HIDDEN.to_owned());
    };
    let (user, place) = rest.rsplit_once('@')?;
    let (name, password) = user.split_once(':')?;
    (!is_from_environment(password)).then(|| format!("{scheme}://{name}:{HIDDEN}@{place}"))
}

/// Whether a text is one variable of the environment and nothing else.
fn is_from_environment(text: &str) -> bool {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['$', '{', '}']))
}

fn value(toml: &str) -> Value {
    let line: Table = format!("value = {toml}")
        .parse()
        .expect("a value of the table");
    line["value"].clone()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::path::Path;

    use strum::VariantArray;

    use super::super::settings::all;
    use super::super::{Config, Limits, MysqlSidecar, Retention};
    use super::*;
    use crate::manual;

    const COORDINATOR: &str = "[coordinator]\nid = \"a\"\ndata_dir = \"d\"\nlisten = \"127.0.0.1:1\"\n\
                               admin_listen = \"127.0.0.1:2\"\n";
    const STORES: &str = "[participants.m.mysql]\nurl = \"mysql://u:hunter2@h/d\"\n[participants.r.redis]\n\
                          url = \"redis://h/\"\n";

    fn refusal(text: &str) -> String {
        Config::read(Path::new("x"), text).unwrap_err().to_string()
    }

    /// A daemon's or a sidecar's file with one more line in a section.
    fn refused_in(section: Section, line: &str) -> String {
        let read = |text: String| refusal(&text);
        match section {
            Section::Coordinator => read(format!("{COORDINATOR}{line}\n{STORES}")),
            Section::Limits => read(format!("{COORDINATOR}[limits]\n{line}\n{STORES}")),
            Section::Retention => read(format!("{COORDINATOR}[retention]\n{line}\n{STORES}")),
            Section::Attribute => read(format!(
                "{COORDINATOR}[attributes.a]\ntype = \"text\"\n{line}\n{STORES}"
            )),
            Section::Tls => read(format!(
                "{COORDINATOR}[tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n{line}\n{STORES}"
            )),
            Section::Access => read(format!("{COORDINATOR}[access]\n{line}\n{STORES}")),
            Section::Mysql => read(format!(
                "{COORDINATOR}[participants.m.mysql]\nurl = \"mysql://h/d\"\n{line}\n"
            )),
            Section::Statement => read(format!(
                "{COORDINATOR}{STORES}[[participants.m.mysql.statements]]\nper = \"purchase\"\nsql = \"INSERT \
                 INTO o (id) VALUES (:purchase_id)\"\n{line}\n"
            )),
            Section::Redis => read(format!("{COORDINATOR}{STORES}{line}\n")),
            Section::SidecarEndpoint => read(format!(
                "{COORDINATOR}{STORES}[participants.s.sidecar]\nendpoint = \"http://h:1\"\n{line}\n"
            )),
            Section::Sidecar => {
                let text = format!(
                    "[sidecar]\nname = \"m\"\nlisten = \"127.0.0.1:1\"\n{line}\n[mysql]\nurl = \"mysql://h/d\"\n"
                );
                let error = MysqlSidecar::read(Path::new("x"), &text).unwrap_err();
                error.to_string()
            }
        }
    }

    #[test]
    fn table_has_what_is_read_and_nothing_else() {
        for section in Section::VARIANTS {
            let told = refused_in(*section, "no_such_setting = 1");
            let (_, known) = told
                .split_once("expected")
                .unwrap_or_else(|| panic!("{told}"));
            let known = known.split('`').skip(1).step_by(2);
            let known: BTreeSet<&str> = known.filter(|name| *name != "statements").collect();
            let listed = section.settings().map(|one| one.name);
            // They are taken before the rest is read.
            let is_read = |name: &&str| !["url_file", "password_file"].contains(name);
            let listed: BTreeSet<&str> = listed.filter(is_read).collect();
            assert_eq!(listed, known, "{section:?}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        let mut tried = 0;
        for Setting {
            section,
            name,
            range,
            ..
        } in all()
        {
            let ends = range.split_once(" to ");
            let ends = ends
                .and_then(|(min, max)| Some((min.parse::<u64>().ok()?, max.parse::<u64>().ok()?)));
            let Some((min, max)) = ends else { continue };
            for outside in [max + 1].into_iter().chain(min.checked_sub(1)) {
                let told = refused_in(*section, &format!("{name} = {outside}"));
                assert!(told.contains(name), "{name} = {outside}: {told}");
                tried += 1;
            }
        }
        assert!(tried > 40, "{tried}");
    }

    #[test]
    fn defaults_are_a_valid_file_and_what_is_taken_where_none_says_anything() {
        let text = defaults();
        let config = Config::read(Path::new("x"), &text).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.retention, Retention::default());
        let bare = "[participants.purchases.mysql]\nurl = \"mysql://app@127.0.0.1:3306/shop\"\n\
                    [participants.stock.redis]\nurl = \"redis://127.0.0.1:6379/\"\n";
        let bare = Config::read(Path::new("x"), &format!("{COORDINATOR}{bare}")).unwrap();
        assert_eq!(
            format!("{:?}", config.participants),
            format!("{:?}", bare.participants)
        );
        let table: Table = text.parse().unwrap();
        assert_eq!(
            effective(&table),
            effective(&effective(&table).parse().unwrap())
        );
    }

    #[test]
    fn what_is_printed_is_as_it_was_and_tells_no_secret() {
        let text = format!(
            "{COORDINATOR}[limits]\nsweep_interval_s = 7\n[attributes.email]\ntype = \"text\"\npersonal = true\n\
             {STORES}[[participants.m.mysql.statements]]\nper = \"purchase\"\nsql = '''\nINSERT INTO \"o\"\n(id) \
             VALUES (:purchase_id)'''\n"
        );
        let text = text.replace("redis://h/", "redis://:${PATH}@h/");
        let printed = effective(&text.parse().unwrap());
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(
            printed.contains("\"mysql://u:***@h/d\"")
                && printed.contains("\"redis://:${PATH}@h/\"")
        );
        let again: Table = printed.replace("***", "hunter2").parse().unwrap();
        let given: Table = text.parse().unwrap();
        for (name, value) in given
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_table()?)))
        {
            for (key, value) in value {
                let printed = &again[name][key];
                match (value.as_table(), printed.as_table()) {
                    (Some(_), Some(_)) => {}
                    _ => assert_eq!(value, printed, "{name}.{key}"),
                }
            }
        }
        assert_eq!(
            again["participants"]["m"]["mysql"]["statements"],
            given["participants"]["m"]["mysql"]["statements"]
        );
        for (name, text, expected) in [
            ("password", "a", "\"***\""),
            ("password", "${A}", "\"${A}\""),
            ("password", "${A}b${C}", "\"***\""),
            ("url", "u:p@h", "\"***\""),
            ("url", "redis://h/", "\"redis://h/\""),
            ("url", "redis://u@h/", "\"redis://u@h/\""),
        ] {
            assert_eq!(shown(name, &Value::from(text)), expected);
        }
    }

    #[test]
    fn manual_lists_every_setting() {
        let mut page =
            String::from("| setting | where nothing is said | range | |\n|---|---|---|---|\n");
        for section in Section::VARIANTS {
            let _ = writeln!(page, "| **`{}`** | | | |", section.heading());
            for Setting {
                name,
                unsaid,
                range,
                what,
                ..
            } in section.settings()
            {
                let unsaid = match unsaid {
                    Unsaid::Required(_) => "must be said".to_owned(),
                    Unsaid::Nothing(_) => String::new(),
                    Unsaid::Is(default) => format!("`{default}`"),
                };
                let _ = writeln!(page, "| `{name}` | {unsaid} | {range} | {what} |");
            }
        }
        let section = manual::section("Settings");
        assert!(section.contains(&page), "the list is to be:\n{page}");
    }

    #[test]
    fn example_file_shows_every_setting_with_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tandem.example.toml");
        let example = std::fs::read_to_string(path).unwrap();
        for Setting {
            name,
            unsaid,
            section,
            ..
        } in all()
        {
            let lines = example
                .lines()
                .map(|line| line.trim_start_matches(['#', ' ']));
            let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            let is_shown = match unsaid {
                Unsaid::Is(default) => values.any(|value| value == *default),
                Unsaid::Required(_) | Unsaid::Nothing(_) => values.next().is_some(),
            };
            assert!(is_shown, "{name} of {section:?} ({unsaid:?})");
        }
    }
}
