//! The operator's manual, as tests read it.

/// The rows of the tables in the section of this heading, a text for each cell.
pub(crate) fn rows(heading: &str) -> Vec<Vec<String>> {
    let manual = include_str!("../docs/operator.md");
    let is_heading = |line: &&str| line.trim_start_matches('#').trim() == heading;
    let section = manual.lines().skip_while(|line| !is_heading(line)).skip(1);
    let section = section.take_while(|line| !line.starts_with('#'));
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows = section.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|').map(cells));
    let rows: Vec<Vec<String>> = rows.collect();
    assert!(rows.len() > 2, "no table under {heading:?}");
    rows
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
