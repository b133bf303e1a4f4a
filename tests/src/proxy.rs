//! A TCP proxy between two parts, which fails as networks do: connections are cut, bytes are late,
//! one direction is silent while the other works, and an answer is lost after the work was done.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tandem_servers::PortLease;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};

const BUFFER_BYTES: usize = 16 * 1024;

/// A direction, as seen by who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Questions.
    Forth,
    /// Answers.
    Back,
}

/// What happens to bytes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// New connections are closed at once.
    Cut,
    Slow(Duration),
    /// Swallowed in this direction, without a word to anybody.
    Deaf(Way),
    /// The next answers are lost and their connections cut, this many.
    DropAnswers(u32),
}

/// A port of its own in front of another's.
#[derive(Debug)]
pub struct Proxy {
    port: PortLease,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: AtomicU16,
    mode: Mutex<Mode>,
    struck: AtomicU64,
    /// Connections that were led to where the proxy leads now.
    led: AtomicU64,
    lines: Mutex<Vec<(Arc<Line>, AbortHandle)>>,
}

/// One connection.
#[derive(Debug, Default)]
struct Line {
    /// Directions in which something was swallowed; all that follows is swallowed too, since a
    /// stream with a hole is no stream.
    deaf_forth: AtomicBool,
    deaf_back: AtomicBool,
    /// Whether something was asked since the last answer.
    asked: AtomicBool,
    /// What the proxy says to the server by itself.
    own: Mutex<Vec<u8>>,
    says: Notify,
}

enum Fate {
    Deliver(Duration),
    Swallow,
    Cut,
}

impl Proxy {
    /// Listens on a port of its own and connects each connection to `upstream`.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(upstream: u16) -> Result<Proxy> {
        let port = PortLease::take(None)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.port())).await?;
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream),
            mode: Mutex::new(Mode::Open),
            struck: AtomicU64::new(0),
            led: AtomicU64::new(0),
            lines: Mutex::default(),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Proxy {
            port,
            shared,
            acceptor,
        })
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Cuts all connections, and new ones at once.
    pub fn cut(&self) {
        self.set(Mode::Cut);
        let lines = std::mem::take(&mut *self.shared.lines.lock().unwrap());
        for (_, task) in lines {
            if !task.is_finished() {
                self.shared.strike();
            }
            task.abort();
        }
    }

    /// Connects new connections to another port from now on; those that are open stay where they are,
    /// as with a proxy that drains a server.
    pub fn lead_to(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::Relaxed);
        self.shared.led.store(0, Ordering::Relaxed);
    }

    /// Where it leads.
    pub fn leads_to(&self) -> u16 {
        self.shared.upstream.load(Ordering::Relaxed)
    }

    /// How many connections were made to where it leads now.
    pub fn led(&self) -> u64 {
        self.shared.led.load(Ordering::Relaxed)
    }

    /// Delays all bytes.
    pub fn slow(&self, delay: Duration) {
        self.set(Mode::Slow(delay));
    }

    /// Swallows all bytes in one direction. A connection that lost some stays silent in that
    /// direction also after [`Proxy::open`], and its ends are not told that the other has gone.
    pub fn deafen(&self, way: Way) {
        self.set(Mode::Deaf(way));
    }

    /// Loses the next answers, and cuts the connections that they were for.
    pub fn drop_answers(&self, count: u32) {
        self.set(Mode::DropAnswers(count));
    }

    /// Says something to the server on each open connection, as if its client had: so does a proxy that
    /// shares connections, which resets one before it gives it to another client.
    pub fn say(&self, words: &[u8]) {
        for (line, _) in &*self.shared.lines.lock().unwrap() {
            line.own.lock().unwrap().extend(words);
            line.says.notify_one();
        }
    }

    /// Lets everything pass again.
    pub fn open(&self) {
        self.set(Mode::Open);
    }

    /// Cuts the connections that have lost bytes.
    pub fn sever(&self) {
        let mut lines = self.shared.lines.lock().unwrap();
        lines.retain(|(line, task)| {
            if line.is_deaf() {
                task.abort();
            }
            !line.is_deaf() && !task.is_finished()
        });
    }

    /// How often the last fault met something.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::Relaxed)
    }

    fn set(&self, mode: Mode) {
        if mode != Mode::Open {
            self.shared.struck.store(0, Ordering::Relaxed);
        }
        *self.shared.mode.lock().unwrap() = mode;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        for (_, task) in self.shared.lines.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

impl Shared {
    fn strike(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
    }

    /// What becomes of bytes that were read, or of an end of the stream.
    fn fate(&self, line: &Line, way: Way, is_end: bool) -> Fate {
        if line.deaf(way).load(Ordering::Relaxed) {
            return Fate::Swallow;
        }
        let answers = match way {
            Way::Forth => {
                line.asked.store(true, Ordering::Relaxed);
                false
            }
            Way::Back => !is_end && line.asked.swap(false, Ordering::Relaxed),
        };
        let mut mode = self.mode.lock().unwrap();
        match &mut *mode {
            Mode::Open => Fate::Deliver(Duration::ZERO),
            Mode::Cut => Fate::Cut,
            Mode::Slow(delay) => {
                self.strike();
                Fate::Deliver(*delay)
            }
            Mode::Deaf(deaf) if *deaf == way => {
                self.strike();
                line.deaf(way).store(true, Ordering::Relaxed);
                Fate::Swallow
            }
            Mode::Deaf(_) => Fate::Deliver(Duration::ZERO),
            Mode::DropAnswers(left) if answers && *left > 0 => {
                *left -= 1;
                self.strike();
                Fate::Cut
            }
            Mode::DropAnswers(_) => Fate::Deliver(Duration::ZERO),
        }
    }
}

impl Line {
    fn deaf(&self, way: Way) -> &AtomicBool {
        match way {
            Way::Forth => &self.deaf_forth,
            Way::Back => &self.deaf_back,
        }
    }

    fn is_deaf(&self) -> bool {
        [Way::Forth, Way::Back]
            .into_iter()
            .any(|way| self.deaf(way).load(Ordering::Relaxed))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Out of descriptors, or the peer has gone: the next may do.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if *shared.mode.lock().unwrap() == Mode::Cut {
            shared.strike();
            continue;
        }
        let line = Arc::new(Line::default());
        let task = tokio::spawn(carry(client, Arc::clone(&shared), Arc::clone(&line)));
        let mut lines = shared.lines.lock().unwrap();
        lines.retain(|(_, task)| !task.is_finished());
        lines.push((line, task.abort_handle()));
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>, line: Arc<Line>) {
    let upstream = shared.upstream.load(Ordering::Relaxed);
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
        return;
    };
    shared.led.fetch_add(1, Ordering::Relaxed);
    for stream in [&client, &server] {
        // Only speed depends on it.
        let _ = stream.set_nodelay(true);
    }
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // The first failure closes both sides, as a broken connection does.
    let _ = tokio::try_join!(
        pump(&shared, &line, Way::Forth, client_read, server_write),
        pump(&shared, &line, Way::Back, server_read, client_write),
    );
}

async fn pump(
    shared: &Shared,
    line: &Line,
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> io::Result<()> {
    let moved = move_bytes(shared, line, way, &mut from, &mut to).await;
    if line.is_deaf() {
        // Neither end hears of the other's end over a link that is half open.
        std::future::pending::<()>().await;
    }
    moved
}

async fn move_bytes(
    shared: &Shared,
    line: &Line,
    way: Way,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = tokio::select! {
            length = from.read(&mut buffer) => length?,
            () = line.says.notified(), if way == Way::Forth => {
                let words = std::mem::take(&mut *line.own.lock().unwrap());
                to.write_all(&words).await?;
                continue;
            }
        };
        match shared.fate(line, way, length == 0) {
            Fate::Deliver(delay) => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                if length == 0 {
                    return to.shutdown().await;
                }
                to.write_all(&buffer[..length]).await?;
            }
            Fate::Swallow if length == 0 => return Ok(()),
            Fate::Swallow => {}
            Fate::Cut => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const SILENCE: Duration = Duration::from_millis(200);

    /// A server that answers each byte with the next number, and counts what it was asked.
    async fn counting() -> (u16, Arc<AtomicU64>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        counter.fetch_add(1, Ordering::Relaxed);
                        if stream.write_u8(byte + 1).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (port, asked)
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_u8(1).await?;
        tokio::time::timeout(SOON, stream.read_u8()).await?
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn bytes_pass_and_a_cut_ends_connections_until_it_is_opened() {
        let (port, _) = counting().await;
        let proxy = Proxy::start(port).await.unwrap();
        let mut stream = connect(&proxy).await;
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        proxy.cut();
        assert!(ask(&mut stream).await.is_err());
        assert_eq!(proxy.struck(), 1);
        assert!(ask(&mut connect(&proxy).await).await.is_err());
        proxy.open();
        assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn new_connections_are_led_elsewhere_and_old_ones_stay() {
        let ((first, asked_first), (second, asked_second)) = (counting().await, counting().await);
        let proxy = Proxy::start(first).await.unwrap();
        let mut stream = connect(&proxy).await;
        ask(&mut stream).await.unwrap();
        proxy.lead_to(second);
        ask(&mut stream).await.unwrap();
        ask(&mut connect(&proxy).await).await.unwrap();
        let asked = [asked_first, asked_second].map(|asked| asked.load(Ordering::Relaxed));
        assert_eq!(asked, [2, 1]);
        assert_eq!(proxy.led(), 1);
    }

    #[tokio::test]
    async fn a_dropped_answer_is_lost_after_the_work_was_done() {
        let (port, asked) = counting().await;
        let proxy = Proxy::start(port).await.unwrap();
        let mut stream = connect(&proxy).await;
        ask(&mut stream).await.unwrap();
        proxy.drop_answers(1);
        assert!(ask(&mut stream).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn what_the_proxy_says_by_itself_is_answered_to_the_client() {
        let (port, asked) = counting().await;
        let proxy = Proxy::start(port).await.unwrap();
        let mut stream = connect(&proxy).await;
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        proxy.say(&[7]);
        let answer = tokio::time::timeout(SOON, stream.read_u8()).await.unwrap();
        assert_eq!(answer.unwrap(), 8);
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_half_open_connection_is_silent_for_life_and_a_new_one_works() {
        let (port, asked) = counting().await;
        let proxy = Proxy::start(port).await.unwrap();
        let mut stream = connect(&proxy).await;
        ask(&mut stream).await.unwrap();
        proxy.deafen(Way::Back);
        stream.write_u8(1).await.unwrap();
        let silence = tokio::time::timeout(SILENCE, stream.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        proxy.open();
        let silence = tokio::time::timeout(SILENCE, stream.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), 2);
        proxy.sever();
        assert!(ask(&mut stream).await.is_err());
    }
}
