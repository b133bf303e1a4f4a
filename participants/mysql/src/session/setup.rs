//! What a session sets for itself, so that nothing that tandem relies on is the server's choice.
//!
//! Set is whatever changes the meaning of tandem's own statements, the answers that it reads, or
//! what the schema refuses; the servers' own lists of session variables were gone through for it,
//! and a test turns each of them. Left as the server has it is what gives the app's statements the
//! meaning that they have in the app's own sessions: how its expressions are computed
//! (`div_precision_increment`, `default_week_format`, `group_concat_max_len`, `lc_time_names`, …)
//! and the modes that say how text is read (`ANSI_QUOTES`, `PIPES_AS_CONCAT`,
//! `NO_BACKSLASH_ESCAPES`, …), of which tandem's own statements are independent.
//!
//! Two more are set with the connection: `time_zone`, to what the settings say, and the character sets, to
//! utf8mb4.

use crate::session::server::Flavour;

/// Seconds of silence that a server grants a session: a prepared branch may wait for its decision.
const SILENCE_S: u32 = 28_800;

/// Seconds that the server waits for the rest of a packet, or for its own to be taken.
const TRANSFER_S: u32 = 60;

/// The mode of the session: the server's, and strict, so that a value that does not fit is an error
/// and never cut, and a table is of the engine that is asked for. Two are taken out, since they
/// change values that are written (`''` would be NULL) or read (CHAR would be padded). They are
/// overwritten and not erased: the empty text is NULL under the first.
const SQL_MODE: &str = "CONCAT('STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,', \
                        REPLACE(REPLACE(@@SESSION.sql_mode, 'EMPTY_STRING_IS_NULL', \
                        'STRICT_ALL_TABLES'), 'PAD_CHAR_TO_FULL_LENGTH', 'STRICT_ALL_TABLES'))";

/// The statements that come first, on whichever server it is.
///
/// READ COMMITTED takes no gap locks, so that branches in doubt block nothing but their own rows.
/// Messages are in English, since duplicate keys are told apart by them. `completion_type` would
/// end the connection with a transaction, limits would cut answers off, and a unique or foreign key
/// that is not checked is one that is not there.
pub(crate) fn on_any(lock_wait_s: u32) -> String {
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
         SET SESSION autocommit = 1, completion_type = 0, sql_mode = {SQL_MODE}, \
         sql_select_limit = {all}, max_join_size = {all}, sql_big_selects = 1, max_sort_length = 1024, \
         sql_safe_updates = 0, sql_auto_is_null = 0, sql_buffer_result = 0, \
         foreign_key_checks = 1, unique_checks = 1, \
         innodb_lock_wait_timeout = {lock_wait_s}, lock_wait_timeout = {lock_wait_s}, \
         wait_timeout = {SILENCE_S}, net_read_timeout = {TRANSFER_S}, \
         net_write_timeout = {TRANSFER_S}, lc_messages = 'en_US'",
        all = u64::MAX,
    )
}

/// The statement for what only one of the two has.
///
/// MariaDB's cache of answers is not told of a branch that another session commits. What is known of
/// tables and locks it gives by way of temporary tables.
pub(crate) fn on(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::MariaDb => {
            "SET SESSION max_statement_time = 0, idle_transaction_timeout = 0, \
             idle_readonly_transaction_timeout = 0, idle_write_transaction_timeout = 0, \
             check_constraint_checks = 1, query_cache_type = OFF, \
             tmp_disk_table_size = 18446744073709551615"
        }
        Flavour::MySql => "SET SESSION max_execution_time = 0",
    }
}
