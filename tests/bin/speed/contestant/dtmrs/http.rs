//! As much of HTTP/1.1 as two programs need that know each other.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A request or a response.
pub(super) struct Message {
    /// The request's or the status line.
    pub(super) first: String,
    pub(super) body: Vec<u8>,
}

/// A connection that stays open.
pub(super) struct Caller(BufReader<TcpStream>);

/// The next message; none if the other side has closed.
pub(super) async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Message { first, body }))
}

/// Answers a request.
pub(super) async fn answer(
    stream: &mut BufReader<TcpStream>,
    status: &str,
    body: &str,
) -> io::Result<()> {
    let message = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(message.as_bytes()).await
}

impl Caller {
    pub(super) async fn connect(address: SocketAddr) -> Result<Caller> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Caller(BufReader::new(stream)))
    }

    /// An error unless the answer is 200 and not a failure.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Result<()> {
        let Caller(stream) = self;
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let answer = read(stream).await?;
        let answer = answer.context("the coordinator closed the connection")?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.first.contains(" 200 ") && !text.contains("FAILURE"),
            "{path}: {}{text}",
            answer.first
        );
        Ok(())
    }
}
