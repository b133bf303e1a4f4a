//! What the log says by itself, in the form of its other lines.

use std::panic::PanicHookInfo;

use serde_json::{Value, json};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For a person.
    Text,
    /// For a collector, as tracing's own lines.
    Json,
}

impl Format {
    /// That lines are missing here.
    pub(super) fn lost(self, lines: u64) -> String {
        let message = format!(
            "{lines} lines of the log are missing here: nobody read them, or there was no room for them"
        );
        self.line("WARN", &message, json!({ "lost_lines": lines }))
    }

    /// That a thread has panicked, whatever the filter lets through: it is a fault of tandem's.
    pub(super) fn panic(self, info: &PanicHookInfo<'_>) -> String {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let backtrace = std::backtrace::Backtrace::capture();
        let message = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => {
                format!("thread {name:?} {info}\n{backtrace}")
            }
            _ => format!("thread {name:?} {info}"),
        };
        self.line("ERROR", &message, json!({}))
    }

    fn line(self, level: &str, message: &str, mut fields: Value) -> String {
        let time = jiff::Timestamp::now();
        match self {
            Format::Text => format!("{time} {level} {message}\n"),
            Format::Json => {
                fields["timestamp"] = json!(time.to_string());
                fields["level"] = json!(level);
                fields["message"] = json!(message);
                fields["target"] = json!(module_path!());
                format!("{fields}\n")
            }
        }
    }
}
