//! The rows of an answer, read. What is not as it must be is a failure of the packet.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::session::failure::PacketFailure;

/// The value in a column of the first row; text and numbers alike come as text.
pub(crate) fn cell(rows: &[MySqlRow], column: usize) -> Result<String, PacketFailure> {
    rows.first()
        .ok_or_else(|| PacketFailure::lost(0, "an answer without rows"))
        .and_then(|row| field(row, column))
}

/// A number in the first row.
pub(crate) fn number(rows: &[MySqlRow], column: usize) -> Result<u64, PacketFailure> {
    rows.first()
        .ok_or_else(|| PacketFailure::lost(0, "an answer without rows"))
        .and_then(|row| field_number(row, column))
}

/// A column of a row as text; NULL is empty.
pub(crate) fn field(row: &MySqlRow, column: usize) -> Result<String, PacketFailure> {
    bytes(row, column).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A column of a row as a number.
pub(crate) fn field_number(row: &MySqlRow, column: usize) -> Result<u64, PacketFailure> {
    let text = field(row, column)?;
    text.parse()
        .map_err(|_| PacketFailure::lost(0, &format!("{text:?} where a number was expected")))
}

/// A column of a row as the bytes that the text protocol sent; NULL is empty.
pub(crate) fn bytes(row: &MySqlRow, column: usize) -> Result<Vec<u8>, PacketFailure> {
    row.try_get_unchecked::<Option<Vec<u8>>, _>(column)
        .map(Option::unwrap_or_default)
        .map_err(|error| PacketFailure::lost(0, &error.to_string()))
}
