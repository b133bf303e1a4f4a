//! The way to stderr: a bounded queue, and a thread that writes.
//!
//! Who reads stderr, or stores what comes out of it, may be slow, full or gone. A process that writes
//! there itself waits for a reader for ever (pipe(7)), and one that takes a failed write for an error
//! of its own ends with its log. Here only the thread waits; what has no room is counted, and said as
//! soon as something can be written again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use super::format::Format;

/// What waits for the writer, in bytes, at most: about ten thousand lines.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Condvar,
    /// Nothing waits, and nothing is being written.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines without room since the last one that had it.
    lost: u64,
    /// Whether the thread has taken something that it has not written yet.
    writing: bool,
}

#[derive(Debug, Default)]
struct Line {
    /// Lines without room just before this one.
    lost_before: u64,
    /// Empty if there is nothing to say but what was lost.
    text: Vec<u8>,
}

impl Queue {
    /// Takes a line, if there is room. Never waits for a reader.
    pub(super) fn push(&self, text: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes + text.len() > QUEUE_BYTES_MAX {
            waiting.lost += 1;
        } else {
            waiting.push(text);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// Takes a line for which there is always room, since the process ends with it.
    pub(super) fn push_last(&self, text: &[u8]) {
        self.lock().push(text);
        self.filled.notify_one();
    }

    /// Waits until all is written, at most `limit`: whoever does not read keeps nobody from going on.
    pub(super) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut waiting = self.lock();
        while waiting.writing || !waiting.is_empty() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            let woken = self.emptied.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes what comes, for as long as the process lives.
    pub(super) fn write(&self, stderr: impl AsFd, format: Format) -> ! {
        let mut output = Output {
            stderr,
            format,
            lost: 0,
            torn: false,
        };
        loop {
            let line = self.take();
            output.line(&line);
        }
    }

    fn take(&self) -> Line {
        let mut waiting = self.lock();
        waiting.writing = false;
        loop {
            if let Some(line) = waiting.pop() {
                waiting.writing = true;
                return line;
            }
            self.emptied.notify_all();
            let woken = self.filled.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whatever happened to a thread that held it, the queue is whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.lost == 0
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes += text.len();
        self.lines.push_back(Line {
            lost_before: std::mem::take(&mut self.lost),
            text: text.to_vec(),
        });
    }

    fn pop(&mut self) -> Option<Line> {
        if self.is_empty() {
            return None;
        }
        let line = self.lines.pop_front().unwrap_or_else(|| Line {
            lost_before: std::mem::take(&mut self.lost),
            text: Vec::new(),
        });
        self.bytes -= line.text.len();
        Some(line)
    }
}

/// Where lines go, and what it has not taken.
struct Output<F> {
    stderr: F,
    format: Format,
    /// Lines that were not written and of which nothing is said yet.
    lost: u64,
    /// Whether the last thing that was written is a part of a line.
    torn: bool,
}

impl<F: AsFd> Output<F> {
    /// Writes a line, and before it how many are missing there. What can't be written is missing too.
    fn line(&mut self, line: &Line) {
        self.lost += line.lost_before;
        if self.lost > 0 {
            let said = self.format.lost(self.lost);
            if self.whole(said.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if !line.text.is_empty() && (self.lost > 0 || self.whole(&line.text).is_err()) {
            self.lost += 1;
        }
    }

    fn whole(&mut self, text: &[u8]) -> Result<(), Errno> {
        if self.torn {
            self.bytes(b"\n")?;
            self.torn = false;
        }
        self.bytes(text)
    }

    fn bytes(&mut self, mut text: &[u8]) -> Result<(), Errno> {
        while !text.is_empty() {
            match write(&self.stderr, text) {
                Ok(0) => return Err(Errno::EIO),
                Ok(written) => {
                    text = &text[written..];
                    self.torn = !text.is_empty();
                }
                Err(Errno::EINTR) => {}
                // Another process that shares the description has asked not to wait; this thread is
                // there to wait.
                Err(Errno::EAGAIN) => self.wait()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), Errno> {
        let mut writable = [PollFd::new(self.stderr.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut writable, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What tracing writes an event to, in one piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines(pub(super) &'static Queue);

impl io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.push(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::File;
    use std::io::Read;
    use std::sync::Arc;

    use super::*;

    fn output<F: AsFd>(stderr: F) -> Output<F> {
        Output {
            stderr,
            format: Format::Json,
            lost: 0,
            torn: false,
        }
    }

    fn line(lost_before: u64, text: &str) -> Line {
        Line {
            lost_before,
            text: text.into(),
        }
    }

    #[test]
    fn lines_without_room_are_counted_where_they_are_missing() {
        let mut waiting = Waiting::default();
        waiting.push(b"one\n");
        waiting.lost += 2;
        waiting.push(b"two\n");
        waiting.lost += 3;
        let next = |waiting: &mut Waiting| {
            let line = waiting.pop()?;
            Some((line.lost_before, String::from_utf8(line.text).unwrap()))
        };
        assert_eq!(next(&mut waiting), Some((0, "one\n".into())));
        assert_eq!(next(&mut waiting), Some((2, "two\n".into())));
        assert_eq!(next(&mut waiting), Some((3, String::new())));
        assert_eq!(next(&mut waiting), None);
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn what_has_no_room_is_dropped_and_last_words_are_not() {
        let queue = Queue::default();
        let line = vec![b'.'; QUEUE_BYTES_MAX];
        queue.push(&line);
        queue.push(b"no room");
        queue.push_last(b"last words");
        let mut waiting = queue.lock();
        assert_eq!(waiting.pop().unwrap().text.len(), QUEUE_BYTES_MAX);
        let last = waiting.pop().unwrap();
        assert_eq!((last.lost_before, &*last.text), (1, &b"last words"[..]));
    }

    #[test]
    fn full_disk_is_counted_and_told_once_there_is_room() {
        let mut full = output(File::options().write(true).open("/dev/full").unwrap());
        full.line(&line(0, "one\n"));
        full.line(&line(4, "two\n"));
        assert_eq!(full.lost, 6);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut roomy = Output {
            stderr: file.as_file(),
            format: Format::Json,
            lost: full.lost,
            torn: true,
        };
        roomy.line(&line(0, "three\n"));
        let said = std::fs::read_to_string(file.path()).unwrap();
        let said: Vec<&str> = said.lines().collect();
        assert_eq!((said[0], said[2]), ("", "three"), "{said:?}");
        assert!(said[1].contains("\"lost_lines\":6"), "{said:?}");
        assert_eq!(roomy.lost, 0);
    }

    #[test]
    fn flush_waits_for_a_reader_no_longer_than_it_is_told() {
        let queue: &Queue = Box::leak(Box::default());
        let (mut reader, writer) = io::pipe().unwrap();
        let line = vec![b'.'; 1024 * 1024];
        queue.push(&line);
        std::thread::spawn(|| queue.write(writer, Format::Json));
        let begun = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert!(queue.lock().writing);

        let read = Arc::new(Mutex::new(vec![0; line.len()]));
        let reading = {
            let read = Arc::clone(&read);
            std::thread::spawn(move || reader.read_exact(&mut read.lock().unwrap()))
        };
        queue.flush(Duration::from_secs(20));
        assert!(!queue.lock().writing);
        reading.join().unwrap().unwrap();
        assert_eq!(*read.lock().unwrap(), line);
    }
}
