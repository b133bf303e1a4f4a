//! A proxy that speaks the servers' protocol as far as a session of text queries needs it, and answers
//! a statement with an error of any number, instead of carrying it out or after.
//!
//! Packets and answers as in "MySQL Internals, Client/Server Protocol": a packet is three bytes of
//! length, one of sequence, and its payload.

use std::io;
use std::sync::{Arc, Mutex};

use tandem_servers::PortLease;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const OK: u8 = 0x00;
const ERR: u8 = 0xff;
const END: u8 = 0xfe;
const MORE_RESULTS: u8 = 0x08;

/// When the error is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Instead,
    After,
}

/// The next statement that begins with `at` is answered with an error.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) at: &'static str,
    pub(crate) when: When,
    pub(crate) number: u16,
}

/// It listens for as long as it is there.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: PortLease,
    rule: Arc<Mutex<Option<Rule>>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(server_port: u16) -> Proxy {
        let port = PortLease::take(None).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port.port())).await.unwrap();
        let rule: Arc<Mutex<Option<Rule>>> = Arc::default();
        let rules = Arc::clone(&rule);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let rule = Arc::clone(&rules);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
                    client.set_nodelay(true)?;
                    server.set_nodelay(true)?;
                    serve(Link { client, server }, &rule).await
                });
            }
        });
        Proxy {
            port,
            rule,
            listening,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.port()
    }

    pub(crate) fn set(&self, rule: Rule) {
        *self.rule.lock().unwrap() = Some(rule);
    }

    /// Takes the rule away; gives whether it was used.
    pub(crate) fn clear(&self) -> bool {
        self.rule.lock().unwrap().take().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

struct Link {
    client: TcpStream,
    server: TcpStream,
}

/// An answer's packets, and where the status flags of its last result are.
struct Answer {
    packets: Vec<Vec<u8>>,
    /// The byte in the last packet; `None` where that is an error.
    flags: Option<usize>,
}

async fn serve(mut link: Link, rule: &Mutex<Option<Rule>>) -> io::Result<()> {
    greet(&mut link).await?;
    loop {
        let (_, command) = read(&mut link.client).await?;
        if command.first() == Some(&COM_QUIT) {
            return write(&mut link.server, 0, &command).await;
        }
        let query = (command.first() == Some(&COM_QUERY))
            .then(|| String::from_utf8_lossy(&command[1..]).into_owned());
        let found = query.as_deref().and_then(|query| taken(rule, query));
        match found {
            Some((rule, before, statement)) => fail(&mut link, &rule, &before, &statement).await?,
            None => {
                write(&mut link.server, 0, &command).await?;
                let answer = answer(&mut link.server).await?;
                give(&mut link.client, 1, &answer.packets).await?;
            }
        }
    }
}

/// The rule, if a statement of this query is its own: with the statements before, and that one.
fn taken(rule: &Mutex<Option<Rule>>, query: &str) -> Option<(Rule, String, String)> {
    let mut rule = rule.lock().unwrap();
    let at = rule.as_ref()?.at;
    let statements: Vec<&str> = query.split(';').map(str::trim).collect();
    let index = statements.iter().position(|one| one.starts_with(at))?;
    let before = statements[..index].join(";");
    Some((rule.take()?, before, statements[index].to_owned()))
}

async fn fail(link: &mut Link, rule: &Rule, before: &str, statement: &str) -> io::Result<()> {
    let mut sequence = 1;
    if !before.is_empty() {
        let mut before = ask(&mut link.server, before).await?;
        if let (Some(at), Some(last)) = (before.flags, before.packets.last_mut()) {
            last[at] |= MORE_RESULTS;
        }
        sequence = give(&mut link.client, 1, &before.packets).await?;
        if before.flags.is_none() {
            return Ok(());
        }
    }
    if rule.when == When::After {
        ask(&mut link.server, statement).await?;
    }
    let mut error = vec![ERR];
    error.extend(rule.number.to_le_bytes());
    error.extend(b"#HY000said by the proxy");
    write(&mut link.client, sequence, &error).await
}

/// Both sides until the server has let the client in.
async fn greet(link: &mut Link) -> io::Result<()> {
    loop {
        let (sequence, packet) = read(&mut link.server).await?;
        write(&mut link.client, sequence, &packet).await?;
        match packet[..] {
            [OK, ..] => return Ok(()),
            [ERR, ..] => return Err(io::ErrorKind::ConnectionRefused.into()),
            // The server's own word on how it goes on, with nothing to answer.
            [0x01, 0x03, ..] => continue,
            _ => {}
        }
        let (sequence, packet) = read(&mut link.client).await?;
        write(&mut link.server, sequence, &packet).await?;
    }
}

async fn ask(server: &mut TcpStream, query: &str) -> io::Result<Answer> {
    let command = [&[COM_QUERY], query.as_bytes()].concat();
    write(server, 0, &command).await?;
    answer(server).await
}

/// All results of a command. Columns are followed by no packet of their end (`DEPRECATE_EOF`).
async fn answer(server: &mut TcpStream) -> io::Result<Answer> {
    let mut packets = Vec::new();
    loop {
        let (_, first) = read(server).await?;
        let begins = first[0];
        let columns = length(&first).0;
        packets.push(first);
        match begins {
            ERR => {
                return Ok(Answer {
                    packets,
                    flags: None,
                });
            }
            OK => {}
            _ => {
                for _ in 0..columns {
                    packets.push(read(server).await?.1);
                }
                loop {
                    let (_, row) = read(server).await?;
                    let begins = row[0];
                    packets.push(row);
                    match begins {
                        ERR => {
                            return Ok(Answer {
                                packets,
                                flags: None,
                            });
                        }
                        END => break,
                        _ => {}
                    }
                }
            }
        }
        let last = packets.last().unwrap();
        let flags = flags_of(last);
        if last[flags] & MORE_RESULTS == 0 {
            let flags = Some(flags);
            return Ok(Answer { packets, flags });
        }
    }
}

/// Where the flags are in a packet that ends a result: behind two numbers of variable length.
fn flags_of(packet: &[u8]) -> usize {
    let rows = length(&packet[1..]).1;
    1 + rows + length(&packet[1 + rows..]).1
}

/// A number of variable length, and the length.
fn length(bytes: &[u8]) -> (u64, usize) {
    let many = |n: usize| {
        let low = bytes[1..=n].iter().rev();
        low.fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    match bytes[0] {
        0xfc => (many(2), 3),
        0xfd => (many(3), 4),
        0xfe if bytes.len() > 8 => (many(8), 9),
        short => (short.into(), 1),
    }
}

/// Writes packets from a sequence number on; gives the next.
async fn give(client: &mut TcpStream, from: u8, packets: &[Vec<u8>]) -> io::Result<u8> {
    let mut sequence = from;
    for packet in packets {
        write(client, sequence, packet).await?;
        sequence = sequence.wrapping_add(1);
    }
    Ok(sequence)
}

async fn read(from: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    from.read_exact(&mut head).await?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    from.read_exact(&mut payload).await?;
    Ok((head[3], payload))
}

async fn write(to: &mut TcpStream, sequence: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], sequence];
    packet.extend(payload);
    to.write_all(&packet).await
}
