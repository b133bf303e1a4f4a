//! A connection whose reader takes a few bytes at a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What is read at once, in bytes, and the pause after it: a kilobyte a second, less than what the
/// answers take.
const BYTES: usize = 256;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct SlowReader {
    stream: TcpStream,
    pause: Pin<Box<Sleep>>,
}

impl SlowReader {
    pub(super) async fn connect(port: u16) -> io::Result<SlowReader> {
        Ok(SlowReader {
            stream: TcpStream::connect(("127.0.0.1", port)).await?,
            pause: Box::pin(sleep(Duration::ZERO)),
        })
    }
}

impl AsyncRead for SlowReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.pause.as_mut().poll(context));
        let mut few = [0; BYTES];
        let room = into.remaining().min(BYTES);
        let mut few = ReadBuf::new(&mut few[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut few))?;
        into.put_slice(few.filled());
        self.pause.as_mut().reset(Instant::now() + PAUSE);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SlowReader {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
