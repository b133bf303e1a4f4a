//! Every pointer that a person may follow: sections that messages and documents name exist, and the
//! commands in them are commands of this binary.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tandem_command_line::Cli;

/// Where messages are written, and their documents.
const SOURCES: [&str; 11] = [
    "coordinator/src",
    "coordinator/tandem/src",
    "coordinator/dev/src",
    "coordinator/log/src",
    "coordinator/protocol/src",
    "coordinator/tandem.example.toml",
    "coordinator/docs",
    "participants",
    "proto",
    "README.md",
    "tests/src/chaos",
];

/// Of these, where a flag that is named alone is one of tandem's.
const OF_THE_COMMAND_LINE: [&str; 3] = [
    "coordinator/src",
    "coordinator/tandem/src",
    "coordinator/dev/src",
];

#[test]
fn commands_in_messages_and_documents_are_commands_of_tandem() {
    let mut commands = 0;
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for command in commands_in(&path, &text) {
            commands += 1;
            if let Err(why) = parse(&command) {
                wrong.push(format!("{}: `{command}`: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(commands > 60, "only {commands} were found");
}

#[test]
fn flags_that_messages_name_alone_are_flags_of_a_command() {
    let mut known = vec!["--help".to_owned(), "--version".to_owned()];
    flags(&Cli::command(), &mut known);
    let mut named = 0;
    let sources = OF_THE_COMMAND_LINE.map(|source| root().join(source));
    for (path, text) in texts().filter(|(path, _)| sources.iter().any(|one| path.starts_with(one)))
    {
        for quoted in quoted(&text).filter(|quoted| quoted.starts_with("--")) {
            let flag = quoted.split([' ', '=']).next().unwrap();
            named += 1;
            assert!(
                known.iter().any(|one| one == flag),
                "{}: {flag}",
                path.display()
            );
        }
    }
    assert!(named > 0, "none was found");
}

#[test]
fn sections_that_messages_and_documents_name_are_there() {
    let manual = fs::read_to_string(root().join("coordinator/docs/operator.md")).unwrap();
    let headings = headings(&manual);
    let mut named = 0;
    for (path, text) in texts() {
        for heading in sections_in(&text) {
            named += 1;
            assert!(
                headings.contains(&heading),
                "{}: the manual has no section {heading:?}",
                path.display()
            );
        }
    }
    assert!(named >= 7, "only {named} were found");
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut links = 0;
    for (path, text) in texts().filter(|(path, _)| path.extension().is_some_and(|e| e == "md")) {
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let there = fs::read_to_string(&file);
            let there = there.unwrap_or_else(|e| panic!("{}: {target}: {e}", path.display()));
            let has = anchor.is_empty() || headings(&there).iter().any(|one| slug(one) == anchor);
            assert!(has, "{}: nothing is at {target}", path.display());
        }
    }
    assert!(links > 3, "only {links} were found");
}

/// A name may leave out the folders before it; `protocol/` and `core/` stand for what the page says.
#[test]
fn files_that_the_architecture_names_are_there() {
    let page = fs::read_to_string(root().join("coordinator/docs/architecture.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["coordinator", "participants", "proto", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    let mut named = 0;
    for name in quoted(&page).filter(|name| name.ends_with(".rs") || name.ends_with(".lua")) {
        let place = match name.split_once('/') {
            Some(("protocol", file)) => format!("coordinator/protocol/src/{file}"),
            Some(("core", file)) => format!("coordinator/protocol/src/coordinator/{file}"),
            _ => name.to_owned(),
        };
        named += 1;
        let is_there = files.iter().any(|file| file.ends_with(&place));
        assert!(is_there, "the page names {name}, and no file is so called");
    }
    assert!(named > 80, "only {named} were found");
}

/// Whether these are words that the command line takes. A sentence may leave out what it takes for
/// granted, but not name what is not there.
fn parse(command: &str) -> Result<(), String> {
    let mut words: Vec<String> = Vec::new();
    // What is quoted is one word.
    let spaced = command
        .split('"')
        .enumerate()
        .map(|(at, part)| match at % 2 {
            0 => part.to_owned(),
            _ => part.replace(' ', "_"),
        });
    for word in spaced.collect::<String>().split_whitespace() {
        let before = words.last().map_or("", String::as_str);
        let is_open = word.starts_with('{') || word.chars().all(|c| c.is_ascii_uppercase());
        words.push(match (before, word) {
            ("--as", _) if is_open => "committed".into(),
            ("--participant", _) if is_open => "stock".into(),
            ("--admin" | "--server", _) if is_open => "http://127.0.0.1:7651".into(),
            ("--last", _) if is_open => "1h".into(),
            ("--since" | "--until", _) if is_open => "2026-03-01T12:00:00Z".into(),
            ("repair" | "settle" | "show" | "retry", _) if is_open => "shop.1.1".into(),
            (_, "…") => break,
            // Of alternatives the first.
            (_, word) => word.split('|').next().unwrap().to_owned(),
        });
    }
    match Cli::try_parse_from(&words) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ok(()),
            kind => Err(format!("{kind}: {words:?}")),
        },
    }
}

/// What stands between backticks and begins with the program's name; in a document also a line of code.
fn commands_in(path: &Path, text: &str) -> Vec<String> {
    let is_command = |text: &str| text.starts_with("tandem ") && !text.contains('\n');
    let quoted = quoted(text).filter(|quoted| is_command(quoted));
    let mut found: Vec<String> = quoted.map(str::to_owned).collect();
    if path.extension().is_some_and(|extension| extension == "md") {
        let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
        let lines = lines.filter(|line| is_command(line));
        // The words behind two spaces say what it is for.
        found.extend(lines.map(|line| {
            let end = line.find("  ").unwrap_or(line.len());
            line[..end].split(" [").next().unwrap().to_owned()
        }));
    }
    found
}

/// What stands between backticks, line by line of the code that has none of its own in between.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let paragraphs = text.split("\n\n").flat_map(|part| part.split("```"));
    paragraphs.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Titles of the operator's manual's sections that a text names.
fn sections_in(text: &str) -> Vec<String> {
    let text = text.replace("\\\"", "\"");
    let named_behind = text.split("manual says under \"").skip(1);
    let behind = named_behind.filter_map(|rest| rest.split('"').next());
    let named_before = text.rsplit("\" in the operator's manual").skip(1);
    let before = named_before.filter_map(|start| start.rsplit('"').next());
    behind.chain(before).map(str::to_owned).collect()
}

fn flags(command: &clap::Command, known: &mut Vec<String>) {
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    known.extend(longs.map(|long| format!("--{long}")));
    command.get_subcommands().for_each(|sub| flags(sub, known));
}

fn headings(markdown: &str) -> Vec<String> {
    let lines = markdown.lines().filter(|line| line.starts_with('#'));
    lines
        .map(|line| line.trim_start_matches('#').trim().to_owned())
        .collect()
}

/// A heading's anchor, as GitHub makes it.
fn slug(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Every source and document, with the lines that a string's or a comment's backslash joins joined.
fn texts() -> impl Iterator<Item = (PathBuf, String)> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root().join(source), &mut files);
    }
    files.into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let mut joined = String::new();
        for line in text.lines() {
            let line = match joined.ends_with('\u{0}') {
                true => {
                    joined.pop();
                    line.trim_start()
                }
                false => line,
            };
            match line.strip_suffix('\\') {
                Some(line) => {
                    joined.push_str(line);
                    joined.push('\u{0}');
                }
                None => {
                    joined.push_str(line);
                    joined.push('\n');
                }
            }
        }
        (path, joined)
    })
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if let Some(extension) = path.extension()
        && ["rs", "md", "toml", "proto", "lua"]
            .iter()
            .any(|known| extension == *known)
    {
        files.push(path.to_owned());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}
