//! What the operating system refuses a log, told from damage: it says nothing about what the log
//! holds, and something is to be done about it.

use std::fmt;
use std::io;

/// What is lacking. The numbers are Linux's (errno(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No room, or none under a quota or a limit: ENOSPC, EDQUOT, EFBIG.
    Room,
    /// No file descriptor: EMFILE, ENFILE.
    Descriptors,
    /// No right, or a file system that can't be written: EACCES, EPERM, EROFS.
    Right,
    /// A disk that does what it is for: EIO.
    Disk,
}

impl Refused {
    /// What an error of the system says is lacking.
    pub(crate) fn of(error: &io::Error) -> Option<Refused> {
        match error.raw_os_error() {
            Some(number) => Refused::of_number(number),
            // What sled has passed on has lost its number, but for its text.
            None => Refused::in_text(&error.to_string()),
        }
    }

    /// What a panic's message, or an error's text, says is lacking: the number of the system's error,
    /// as its `Display` or its `Debug` writes it.
    pub(crate) fn in_text(text: &str) -> Option<Refused> {
        ["os error ", "code: "].iter().find_map(|before| {
            let (_, behind) = text.split_once(before)?;
            let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
            Refused::of_number(digits.parse().ok()?)
        })
    }

    fn of_number(number: i32) -> Option<Refused> {
        match number {
            27 | 28 | 122 => Some(Refused::Room),
            23 | 24 => Some(Refused::Descriptors),
            1 | 13 | 30 => Some(Refused::Right),
            5 => Some(Refused::Disk),
            _ => None,
        }
    }

    /// What a person does about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Refused::Room => {
                "make room there: beside the log as much as it takes itself, since what is read is a \
                 copy (`tandem log inspect` makes it in TMPDIR)"
            }
            Refused::Descriptors => {
                "let the process open more files (`ulimit -n`, or LimitNOFILE in its unit)"
            }
            Refused::Right => {
                "let this user read and write the folder and all that is in it, on a file system that can \
                 be written"
            }
            Refused::Disk => {
                "look at the disk (the kernel's log says more); if it is failing, copy the folder to a \
                 sound one while no coordinator runs, and start on that copy alone"
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Room => "there is no room",
            Refused::Descriptors => "there is no file descriptor left",
            Refused::Right => "this user may not",
            Refused::Disk => "the disk fails",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_found_as_the_system_and_sled_write_it() {
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(Refused::of(&full), Some(Refused::Room));
        let passed_on = io::Error::other(format!("{full:?}"));
        assert_eq!(Refused::of(&passed_on), Some(Refused::Room));
        let panic = format!("panic: called `Result::unwrap()` on an `Err` value: Io({full:?})");
        assert_eq!(Refused::in_text(&panic), Some(Refused::Room));
        assert_eq!(Refused::in_text(&format!("{full}")), Some(Refused::Room));
    }

    #[test]
    fn what_is_no_refusal_of_the_system_is_none() {
        for text in [
            "corruption",
            "code: x",
            "os error ",
            "os error 2",
            "panic at 28",
        ] {
            assert_eq!(Refused::in_text(text), None, "{text}");
        }
    }
}
