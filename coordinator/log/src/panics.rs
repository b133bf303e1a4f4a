//! sled answers a damaged file with a panic more often than with an error. This turns a panic of
//! this thread into a message, without printing it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Runs `work`; a panic in it on this thread becomes an error that says what and where.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    INSTALL.call_once(install);
    let outer = CAPTURE.replace(Capture::Armed);
    let result = catch_unwind(AssertUnwindSafe(work));
    let capture = CAPTURE.replace(outer);
    result.map_err(|_| match capture {
        Capture::Message(message) => message,
        Capture::Off | Capture::Armed => "panic without a message".to_owned(),
    })
}

enum Capture {
    Off,
    Armed,
    Message(String),
}

thread_local! {
    static CAPTURE: RefCell<Capture> = const { RefCell::new(Capture::Off) };
}

static INSTALL: Once = Once::new();

/// The hook leaves panics of all other threads to the hook that was there before.
fn install() {
    let previous = take_hook();
    set_hook(Box::new(move |info| {
        let captured = CAPTURE
            .try_with(|capture| match &mut *capture.borrow_mut() {
                Capture::Off => false,
                armed => {
                    *armed = Capture::Message(format!("panic: {info}"));
                    true
                }
            })
            .unwrap_or(false);
        if !captured {
            previous(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        let error = caught(|| panic!("broken at {}", 7))
            .err()
            .unwrap_or_default();
        assert!(error.contains("broken at 7"), "{error}");
        assert_eq!(caught(|| 5), Ok(5));
    }
}
