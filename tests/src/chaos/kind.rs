//! The kinds of faults, and which of them a round has.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::links::LinkName;
use crate::parts::Part;
use crate::proxy::Way;
use crate::random::Random;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9`, and a restart a little later.
    Kill(Part),
    /// SIGSTOP, and SIGCONT a little later.
    Pause(Part),
    /// Connections cut, new ones refused for a while.
    CutLink,
    /// Bytes late for a while.
    SlowLink,
    /// Bytes of one direction swallowed.
    HalfOpenLink,
    /// Answers lost after the work was done.
    DropAnswer,
    /// MySQL's `KILL` of the participant's sessions.
    KillSessions,
    /// Redis' `CLIENT KILL` of all connections.
    KillConnections,
    /// No room for the decision log.
    FullLogDisk,
    /// No room for Redis' append-only file.
    FullRedisDisk,
    /// A DBA's `XA ROLLBACK` of a prepared branch.
    RollBackByHand,
    /// A DBA's `XA COMMIT` of a prepared branch.
    CommitByHand,
    /// A DBA's `FLUSH TABLES WITH READ LOCK` for a while.
    ReadLock,
    /// A DBA's `read_only` for a while.
    ReadOnly,
    /// Redis at its memory limit for a while.
    MemoryLimit,
    /// `SCRIPT FLUSH`.
    ScriptFlush,
    /// `kill -9` of Redis, which loses the last bytes of its append-only file.
    TornFile,
    /// A command that the scripts use is forbidden to Redis' user for a while, wherever they are.
    RightTaken,
    /// A store's folder is put back to a copy from a while ago.
    BackInTime(Part),
    /// New connections to a store are led to another server for a while, which has a copy from a while
    /// ago.
    OtherServer(Part),
}

impl Kind {
    /// All kinds.
    pub fn all() -> Vec<Kind> {
        let killed = Part::ALL.into_iter().map(Kind::Kill);
        let paused = Part::ALL.into_iter().map(Kind::Pause);
        let others = [
            Kind::CutLink,
            Kind::SlowLink,
            Kind::HalfOpenLink,
            Kind::DropAnswer,
            Kind::KillSessions,
            Kind::KillConnections,
            Kind::FullLogDisk,
            Kind::FullRedisDisk,
            Kind::RollBackByHand,
            Kind::CommitByHand,
            Kind::ReadLock,
            Kind::ReadOnly,
            Kind::MemoryLimit,
            Kind::ScriptFlush,
            Kind::TornFile,
            Kind::RightTaken,
            Kind::BackInTime(Part::Mysql),
            Kind::BackInTime(Part::Redis),
            Kind::OtherServer(Part::Mysql),
            Kind::OtherServer(Part::Redis),
        ];
        killed.chain(paused).chain(others).collect()
    }

    /// Whether it takes a disk that can be filled.
    pub fn needs_disk(self) -> bool {
        matches!(self, Kind::FullLogDisk | Kind::FullRedisDisk)
    }

    /// Whether somebody ends branches by hand.
    pub(super) fn is_by_hand(self) -> bool {
        matches!(self, Kind::RollBackByHand | Kind::CommitByHand)
    }

    /// Whether MySQL loses what it has acknowledged, so that somebody has to repair it.
    pub(super) fn loses_rows(self) -> bool {
        matches!(
            self,
            Kind::BackInTime(Part::Mysql) | Kind::OtherServer(Part::Mysql)
        )
    }

    /// Whether it needs more than to be dealt: something that is under way just then, or somebody who
    /// comes by. Those are dealt twice as often, so that as many strike.
    fn often_misses(self) -> bool {
        let of_chance = matches!(
            self,
            Kind::TornFile | Kind::RightTaken | Kind::OtherServer(_)
        );
        of_chance || self.is_by_hand()
    }

    /// Whether both can be in one round: what people put right by hand is undone by a MySQL that goes
    /// back in time, and nobody would know what is right then.
    fn goes_with(self, other: Kind) -> bool {
        !(self.is_by_hand() && other.loses_rows() || other.is_by_hand() && self.loses_rows())
    }

    /// Whether it befalls a link.
    pub fn is_of_link(self) -> bool {
        matches!(
            self,
            Kind::CutLink | Kind::SlowLink | Kind::HalfOpenLink | Kind::DropAnswer
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Kill(part) => return write!(f, "kill_{part}"),
            Kind::Pause(part) => return write!(f, "pause_{part}"),
            Kind::CutLink => "cut_link",
            Kind::SlowLink => "slow_link",
            Kind::HalfOpenLink => "half_open_link",
            Kind::DropAnswer => "drop_answer",
            Kind::KillSessions => "kill_mysql_sessions",
            Kind::KillConnections => "kill_redis_connections",
            Kind::FullLogDisk => "full_log_disk",
            Kind::FullRedisDisk => "full_redis_disk",
            Kind::RollBackByHand => "xa_rollback_by_hand",
            Kind::CommitByHand => "xa_commit_by_hand",
            Kind::ReadLock => "mysql_read_lock",
            Kind::ReadOnly => "mysql_read_only",
            Kind::MemoryLimit => "redis_memory_limit",
            Kind::ScriptFlush => "redis_script_flush",
            Kind::TornFile => "redis_torn_file",
            Kind::RightTaken => "redis_right_taken",
            Kind::BackInTime(part) => return write!(f, "{part}_back_in_time"),
            Kind::OtherServer(part) => return write!(f, "other_{part}"),
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        let found = Kind::all()
            .into_iter()
            .find(|kind| kind.to_string() == text);
        found.ok_or_else(|| format!("there is no fault {text:?}; tests/chaos --list names all"))
    }
}

/// One fault of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// After the load's start.
    pub(super) begin: Duration,
    /// How long it lasts, where it lasts.
    pub(super) hold: Duration,
    /// Where, if it befalls a link.
    pub(super) link: LinkName,
    pub(super) way: Way,
    /// Decides what else there is to decide.
    pub(super) coin: bool,
    pub(super) draw: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.kind.is_of_link() {
            write!(f, " {}", self.link)?;
        }
        if self.kind == Kind::HalfOpenLink {
            write!(f, " {:?}", self.way)?;
        }
        let (begin, hold) = (self.begin.as_millis(), self.hold.as_millis());
        write!(f, " at {begin} ms for {hold} ms")
    }
}

/// A step at which one process is told to die.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    pub(super) part: Part,
    pub(super) step: String,
    /// The how many-th time that it is reached.
    pub(super) passing: u64,
    /// Whether it is to die there again the first time after its restart, in its recovery.
    pub(super) again: bool,
}

impl Armed {
    /// As the process is told it; `deaths` it has died already.
    pub(super) fn order(&self, deaths: u32) -> Option<String> {
        match deaths {
            0 => Some(format!("{}:kill:{}", self.step, self.passing)),
            1 if self.again => Some(format!("{}:kill", self.step)),
            _ => None,
        }
    }

    /// Whether only aborts reach it.
    pub(super) fn needs_aborts(&self) -> bool {
        self.step.contains("roll")
    }

    /// Whether only a coordinator that enlists reaches it.
    pub(super) fn needs_enlisting(&self) -> bool {
        self.step.contains("enlist") || self.step.contains("recall")
    }
}

impl fmt::Display for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kill of {} at {}:{}", self.part, self.step, self.passing)?;
        f.write_str(if self.again { ", twice" } else { "" })
    }
}

/// What a round has.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) number: u32,
    pub(super) faults: Vec<Fault>,
    pub(super) armed: Option<Armed>,
    /// For the choices of the round itself.
    pub(super) random: Random,
}

impl Hand {
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }
}

impl fmt::Display for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        parts.extend(self.armed.iter().map(Armed::to_string));
        f.write_str(&parts.join("; "))
    }
}

/// Deals faults to rounds so that each kind, link and step comes up as often as the others, and twice as
/// often what misses often; all follows from the seed.
#[derive(Debug)]
pub(super) struct Deck {
    seed: u64,
    kinds: Pile<Kind>,
    links: Pile<LinkName>,
    /// Steps with the role that passes them.
    steps: Pile<(String, bool)>,
    random: Random,
    next: u32,
}

/// What is dealt in a random order, again and again.
#[derive(Debug)]
struct Pile<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Clone> Pile<T> {
    fn new(all: Vec<T>) -> Pile<T> {
        let left = Vec::new();
        Pile { all, left }
    }

    fn deal(&mut self, random: &mut Random) -> Option<T> {
        if self.left.is_empty() {
            self.left = self.all.clone();
        }
        if self.left.is_empty() {
            return None;
        }
        let place = random.number() as usize % self.left.len();
        Some(self.left.swap_remove(place))
    }

    /// The same; what does not fit is left for later.
    fn deal_one(&mut self, random: &mut Random, fits: impl Fn(&T) -> bool) -> Option<T> {
        let mut aside = Vec::new();
        let mut dealt = self.deal(random);
        while let Some(one) = &dealt
            && !fits(one)
            && aside.len() < self.all.len()
        {
            aside.extend(dealt.take());
            dealt = self.deal(random);
        }
        self.left.extend(aside);
        dealt
    }
}

impl Deck {
    /// `steps` as the program lists them, each with whether a sidecar passes it.
    pub(super) fn new(seed: u64, kinds: Vec<Kind>, steps: Vec<(String, bool)>) -> Deck {
        Deck {
            seed,
            kinds: Pile::new(twice(kinds, |kind| kind.often_misses())),
            links: Pile::new(LinkName::ALL.to_vec()),
            steps: Pile::new(twice(steps, |(step, _)| step.contains("releas"))),
            random: Random::new(seed),
            next: 0,
        }
    }

    pub(super) fn deal(&mut self) -> Hand {
        let number = self.next;
        self.next += 1;
        let random = &mut self.random;
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..random.between(3, 4) {
            let fits = |kind: &Kind| faults.iter().all(|fault| kind.goes_with(fault.kind));
            let Some(kind) = self.kinds.deal_one(random, fits) else {
                break;
            };
            let link = match self.links.deal(random) {
                Some(link) if kind.is_of_link() => link,
                _ => LinkName::Clients,
            };
            faults.push(Fault {
                kind,
                begin: random.millis(50, 900),
                hold: hold(random),
                link,
                way: *random.one_of(&[Way::Forth, Way::Back]),
                coin: random.between(0, 1) == 1,
                draw: random.number(),
            });
        }
        let armed = self.steps.deal(random).map(|(step, of_sidecar)| Armed {
            part: match (of_sidecar, random.between(0, 1)) {
                (false, _) => Part::Coordinator,
                (true, 0) => Part::MysqlSidecar,
                (true, _) => Part::RedisSidecar,
            },
            passing: passing(&step, random),
            again: random.between(0, 1) == 1,
            step,
        });
        Hand {
            number,
            faults,
            armed,
            random: Random::new(self.seed ^ (u64::from(number) << 32)),
        }
    }
}

/// Mostly shorter than every timeout, now and then longer than most.
fn hold(random: &mut Random) -> Duration {
    if random.between(1, 4) == 1 {
        random.millis(2_000, 4_500)
    } else {
        random.millis(50, 900)
    }
}

/// All, and once more those of which that is said.
fn twice<T: Clone>(all: Vec<T>, is_so: impl Fn(&T) -> bool) -> Vec<T> {
    let again: Vec<T> = all.iter().filter(|one| is_so(one)).cloned().collect();
    all.into_iter().chain(again).collect()
}

/// Most steps are passed many times a second under load; some only once in a while.
fn passing(step: &str, random: &mut Random) -> u64 {
    let seldom = [
        "open", "begun", "enlist", "listed", "recall", "roll", "forg", "rele", "rebas",
    ];
    let is_seldom = seldom.iter().any(|part| step.contains(part));
    random.between(1, if is_seldom { 1 } else { 15 })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_kind_and_step_is_dealt_alike_and_a_seed_repeats_itself() {
        let steps: Vec<(String, bool)> = (0..30).map(|n| (format!("s{n}"), n > 20)).collect();
        let deal = || {
            let mut deck = Deck::new(7, Kind::all(), steps.clone());
            let hands: Vec<Hand> = (0..150).map(|_| deck.deal()).collect();
            hands
        };
        let hands = deal();
        let again: Vec<String> = deal().iter().map(Hand::to_string).collect();
        assert_eq!(hands.iter().map(Hand::to_string).collect::<Vec<_>>(), again);
        let mut kinds: BTreeMap<Kind, u32> = BTreeMap::new();
        let mut steps: BTreeMap<String, u32> = BTreeMap::new();
        for hand in &hands {
            for fault in &hand.faults {
                *kinds.entry(fault.kind).or_default() += 1;
            }
            *steps
                .entry(hand.armed.as_ref().unwrap().step.clone())
                .or_default() += 1;
        }
        assert_eq!(kinds.len(), Kind::all().len());
        for (kind, count) in kinds {
            let least = if kind.often_misses() { 24 } else { 12 };
            assert!(count >= least, "{kind} is dealt {count} times");
        }
        assert!(steps.len() == 30 && steps.values().all(|&count| count >= 4));
    }

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in Kind::all() {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("nothing".parse::<Kind>().is_err());
    }
}
