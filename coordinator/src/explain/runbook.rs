//! All of it as pages: for a terminal, and as the document.

use std::fmt::Write;

use strum::VariantArray;

use super::{Entry, Group, Symptom, sentence};

const BEGIN: &str = "\
# The runbook

For whoever is woken: first by what is seen, then by the code that was printed. `tandem explain CODE` says the same
on a terminal, and `tandem explain` lists the codes. This page is made by `tandem explain --markdown`. More is in
[the operator's manual](operator.md).
";

/// The document.
pub(crate) fn markdown() -> String {
    let mut page = format!("{BEGIN}\n## By symptom\n");
    for Symptom { seen, steps } in Symptom::ALL {
        let _ = write!(page, "\n### {seen}\n\n");
        for (number, step) in (1..).zip(*steps) {
            let _ = writeln!(page, "{number}. {step}");
        }
    }
    for group in Group::VARIANTS {
        let _ = write!(page, "\n## {}\n", group.title());
        for Entry { code, text, .. } in group.entries() {
            let _ = write!(
                page,
                "\n### `{code}`\n\n{}\n\n- How it comes about: {}\n- What to do: {}\n",
                sentence(text.means),
                text.cause,
                text.act
            );
        }
    }
    page
}

/// What is said of a code, for a terminal.
pub(crate) fn page(entry: &Entry) -> String {
    let Entry {
        code, group, text, ..
    } = entry;
    format!(
        "{code}  ({})\n  {}\n  How it comes about: {}\n  What to do: {}",
        plain(group.title()),
        sentence(text.means),
        text.cause,
        text.act
    )
}

/// All codes by their lists, and the symptoms.
pub(crate) fn index() -> String {
    let mut page = String::new();
    for group in Group::VARIANTS {
        let codes: Vec<String> = group
            .entries()
            .into_iter()
            .map(|entry| entry.code)
            .collect();
        let _ = writeln!(
            page,
            "{}:\n  {}\n",
            plain(group.title()),
            codes.join("\n  ")
        );
    }
    page.push_str("What is seen:\n");
    for Symptom { seen, steps } in Symptom::ALL {
        let _ = writeln!(page, "  {}", plain(seen));
        for step in *steps {
            let _ = writeln!(page, "    - {step}");
        }
    }
    page
}

/// A title without the marks of the document.
fn plain(title: &str) -> String {
    title.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runbook_is_what_explain_says() {
        let written = include_str!("../../docs/runbook.md");
        assert!(
            written == markdown(),
            "write it anew: tandem explain --markdown > coordinator/docs/runbook.md"
        );
    }
}
