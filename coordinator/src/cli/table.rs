//! Tables without borders and colours, so that they can be read and cut alike.

use std::io;

use comfy_table::{ContentArrangement, presets};
use terminal_size::{Width, terminal_size_of};

use super::output::clean;

/// Rows under a header, aligned. With a width, long cells are wrapped to fit it.
pub(super) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
    width: Option<u16>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// The width to which tables are wrapped: the terminal's, or none where stdout is something else.
pub(super) fn width() -> Option<u16> {
    terminal_size_of(io::stdout()).map(|(Width(columns), _)| columns)
}
