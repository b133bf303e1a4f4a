//! The operator's manual, as tests read it.

/// The section of this heading, up to the next one.
pub(crate) fn section(heading: &str) -> &'static str {
    let manual = include_str!("../docs/operator.md");
    let begin = format!("\n## {heading}\n");
    let (_, section) = manual.split_once(&begin).expect("a heading of the manual");
    section.split("\n#").next().unwrap_or_default()
}

/// The rows of the section's tables, a text for each cell.
pub(crate) fn rows(heading: &str) -> Vec<Vec<String>> {
    let lines = section(heading).lines();
    let rows = lines.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The names in UPPER_SNAKE that a cell has between backticks.
pub(crate) fn names(cell: &str) -> Vec<String> {
    let is_name = |text: &&str| {
        let mut chars = text.chars();
        !text.is_empty() && chars.all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(is_name).map(str::to_owned).collect()
}
