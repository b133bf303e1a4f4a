//! Any error number at any step of a branch, instead of the step and after it.
//!
//! What a number says is written down here once more, apart from the product's own table. Sources:
//! the MySQL 9.7 "Server Error Message Reference", MariaDB's "Error Codes", and `perror`.

use std::collections::{BTreeMap, BTreeSet};

use tandem_mysql::MysqlParticipant;
use tandem_participant::{Error, Forget, Participant, Prepare, Recall, Vote};
use tandem_protocol::{Epoch, Reason, TransactionId};

use crate::proxy::{Proxy, Rule, When};
use crate::stand::{Stand, World, ask, commit, enlist, entries, in_doubt, roll_back, tx};

/// With it all of [`numbers`] are answered at each step; without, one of each kind.
const EVERY: &str = "TANDEM_ERROR_NUMBERS";

/// Numbers that follow each other in both servers' lists, from `ER_HASHCHK` on.
pub(crate) const FIRST: std::ops::Range<u16> = 1000..1300;

/// Others: of later versions, of one of the two families only, and of nobody's.
pub(crate) const MORE: [u16; 45] = [
    1305, 1317, 1356, 1364, 1370, 1397, 1399, 1401, 1402, 1412, 1422, 1440, 1442, 1449, 1467, 1526,
    1586, 1614, 1637, 1644, 1665, 1689, 1690, 1712, 1761, 1785, 1792, 1836, 1874, 1877, 1927, 1932,
    1969, 2013, 3024, 3032, 3100, 3168, 3169, 3572, 3819, 4025, 4031, 9999, 31_001,
];

const SAMPLE: [u16; 26] = [
    1026, 1030, 1040, 1045, 1046, 1053, 1054, 1062, 1064, 1114, 1146, 1158, 1205, 1213, 1235, 1290,
    1317, 1397, 1399, 1401, 1402, 1440, 1614, 1690, 3572, 31_001,
];

/// What a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Entry,
    Locked,
    BranchLost,
    Configuration,
    /// No room, or no writes now.
    Later,
}

fn says(number: u16, world: World) -> Says {
    match number {
        // MySQL answers 1205 where a counter is locked.
        1467 if world.is_mysql() => Says::Configuration,
        1205 | 3572 | 1317 | 1467 | 1689 | 1969 | 3024 => Says::Locked,
        1020 | 1213 | 1402 | 1412 | 1613 | 1614 => Says::BranchLost,
        1016
        | 1017
        | 1033
        | 1034
        | 1036
        | 1044..=1046
        | 1049
        | 1052
        | 1054
        | 1058
        | 1064
        | 1066
        | 1093
        | 1109..=1111
        | 1136
        | 1142
        | 1143
        | 1146
        | 1149
        | 1194
        | 1195
        | 1227
        | 1235
        | 1286
        | 1288
        | 1295
        | 1305
        | 1318
        | 1348
        | 1356
        | 1364
        | 1370
        | 1393
        | 1394
        | 1419
        | 1422
        | 1423
        | 1442
        | 1449
        | 1471
        | 1630
        | 1661..=1663
        | 1665
        | 1712
        | 1785
        | 1812
        | 1814
        | 1817
        | 1820
        | 1877
        | 1932
        | 3098
        | 3750 => Says::Configuration,
        1021 | 1026 | 1037 | 1038 | 1040 | 1041 | 1114 | 1135 | 1197 | 1203 | 1206 | 1226
        | 1637 | 1705 | 1015 | 1028 | 1030 | 1047 | 1053 | 1099 | 1223 | 1290 | 1296 | 1297
        | 1792 | 1836 | 1874 | 3032 | 3100 | 3168 => Says::Later,
        _ => Says::Entry,
    }
}

/// Why an entry is refused alone whose statement is answered with it. No row is there of its id.
pub(crate) fn reason_of(number: u16, world: World) -> Reason {
    match says(number, world) {
        Says::Entry => Reason::ConstraintViolated,
        Says::Locked | Says::BranchLost => Reason::Locked,
        Says::Configuration | Says::Later => Reason::Misconfigured,
    }
}

/// A statement that is answered with an error, and the call that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Start,
    Marker,
    End,
    Prepare,
    Commit,
    RollBack,
    Tombstone,
    Evidence,
    List,
    Forget,
    Recall,
    Settings,
    Enlist,
}

impl Step {
    const ALL: [Step; 13] = [
        Step::Start,
        Step::Marker,
        Step::End,
        Step::Prepare,
        Step::Commit,
        Step::RollBack,
        Step::Tombstone,
        Step::Evidence,
        Step::List,
        Step::Forget,
        Step::Recall,
        Step::Settings,
        Step::Enlist,
    ];

    fn statement(self) -> &'static str {
        match self {
            Step::Start => "XA START",
            Step::Marker | Step::Tombstone => "INSERT INTO tandem_branches",
            Step::End => "XA END",
            Step::Prepare => "XA PREPARE",
            Step::Commit => "XA COMMIT",
            Step::RollBack => "XA ROLLBACK",
            Step::Evidence => "SELECT state FROM tandem_branches",
            Step::List => "XA RECOVER",
            Step::Forget => "UPDATE tandem_coordinators SET forgotten",
            Step::Recall => "SELECT",
            Step::Settings => "SHOW GLOBAL VARIABLES",
            Step::Enlist => "UPDATE tandem_coordinators SET epoch",
        }
    }

    /// What the call answers. An error that was answered is never an outage.
    fn answers(self, number: u16, world: World) -> &'static str {
        let says = says(number, world);
        match (self, number, says) {
            (Step::Start, 1440, _) | (Step::Marker, 1062, _) => "no",
            (Step::Marker, _, Says::BranchLost) => "yes",
            // The marker row tells, whatever was answered; what can't be now is asked again.
            (Step::Commit | Step::RollBack, _, Says::Locked | Says::Later) => "Busy",
            (Step::Commit | Step::RollBack, _, _) => "done",
            // How a marker row is told that is locked, or there before.
            (Step::Tombstone, 1062 | 1205 | 3572, _) => "done",
            (Step::Tombstone, _, Says::BranchLost) => "done",
            (Step::Evidence, 1205 | 3572, _) => "done",
            (_, _, Says::Configuration) => "Invalid",
            _ => "Busy",
        }
    }
}

/// What came out of the call that met the error.
fn word<T>(answer: &Result<T, Error>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(Error::Unavailable { .. }) => "Unavailable",
        Err(Error::Busy { .. }) => "Busy",
        Err(Error::Stuck { .. }) => "Stuck",
        Err(Error::Heuristic { .. }) => "Heuristic",
        Err(Error::Fenced { .. }) => "Fenced",
        Err(Error::NotEnlisted { .. }) => "NotEnlisted",
        Err(Error::Unsafe { .. }) => "Unsafe",
        Err(Error::Invalid { .. }) => "Invalid",
    }
}

struct Trial<'a> {
    participant: &'a MysqlParticipant,
    proxy: &'a Proxy,
    rule: Rule,
    transaction: TransactionId,
    id: String,
}

impl Trial<'_> {
    /// Makes the call with the error in it, then ends the transaction without. Gives what the call
    /// answered, and whether the purchase is to be there; `None` where the error was not met.
    async fn run(&self, step: Step) -> Option<(&'static str, bool)> {
        let (participant, transaction) = (self.participant, &self.transaction);
        let prepare = ask(transaction, entries(&[&self.id, &format!("{}b", self.id)]));
        let met = match step {
            Step::Start | Step::Marker | Step::End | Step::Prepare => {
                return self.prepare(&prepare).await;
            }
            Step::Commit | Step::RollBack => {
                assert_eq!(vote(participant, &prepare).await, "yes");
                self.proxy.set(self.rule.clone());
                match step {
                    Step::Commit => word(&self.commit().await),
                    _ => word(&roll_back(participant, transaction).await),
                }
            }
            Step::Tombstone | Step::Evidence => {
                self.proxy.set(self.rule.clone());
                word(&roll_back(participant, transaction).await)
            }
            Step::List => {
                self.proxy.set(self.rule.clone());
                word(&participant.list_prepared().await)
            }
            Step::Forget => {
                self.proxy.set(self.rule.clone());
                let forget = Forget {
                    before: tx(1),
                    except: Vec::new(),
                    closed: None,
                    caller_epoch: Epoch(1),
                };
                word(&participant.forget(&forget).await)
            }
            Step::Recall => {
                self.proxy.set(self.rule.clone());
                let recall = Recall {
                    coordinator: "shop".parse().unwrap(),
                    caller_epoch: Epoch(1),
                    transactions: vec![transaction.clone()],
                };
                word(&participant.recall(&recall).await)
            }
            Step::Settings => {
                self.proxy.set(self.rule.clone());
                word(&participant.describe().await)
            }
            Step::Enlist => {
                self.proxy.set(self.rule.clone());
                word(&participant.enlist(&enlist(1)).await)
            }
        };
        let was_met = self.proxy.clear();
        match step {
            Step::Commit => self.end(step).await,
            _ => roll_back(participant, transaction).await.unwrap(),
        }
        was_met.then_some((met, step == Step::Commit))
    }

    async fn prepare(&self, prepare: &Prepare) -> Option<(&'static str, bool)> {
        self.proxy.set(self.rule.clone());
        let met = vote(self.participant, prepare).await;
        let was_met = self.proxy.clear();
        match met {
            "yes" => self.end(Step::Commit).await,
            _ => roll_back(self.participant, &self.transaction)
                .await
                .unwrap(),
        }
        was_met.then_some((met, met == "yes"))
    }

    async fn end(&self, step: Step) {
        let ended = self.commit().await;
        assert!(ended.is_ok(), "{step:?} {:?}: {ended:?}", self.rule);
    }

    async fn commit(&self) -> Result<tandem_participant::Committed, Error> {
        let ids = [&self.id[..], &format!("{}b", self.id)];
        commit(self.participant, &self.transaction, &ids).await
    }
}

async fn vote(participant: &MysqlParticipant, prepare: &Prepare) -> &'static str {
    let answer = participant.prepare(prepare).await.map(|voted| voted.vote);
    match &answer {
        Ok(Vote::Yes { refused, .. }) if refused.is_empty() => "yes",
        Ok(Vote::Yes { .. }) => "refused",
        Ok(Vote::No { .. }) => "no",
        Err(_) => word(&answer),
    }
}

/// What each step answered to how many numbers.
type Counts = BTreeMap<(Step, &'static str), BTreeMap<&'static str, usize>>;

pub(crate) async fn any_number_at_any_step_leaves_nothing_half_done(stand: Stand) {
    let proxy = Proxy::to(stand.server.port()).await;
    let mut settings = stand.settings();
    let url = format!(
        "mysql://root@127.0.0.1:{}/{}?ssl-mode=DISABLED",
        proxy.port(),
        stand.name
    );
    settings.url = url.into();
    let participant = stand.with(settings);
    participant.enlist(&enlist(1)).await.unwrap();
    let numbers: Vec<u16> = match std::env::var(EVERY) {
        Ok(_) => FIRST.chain(MORE).collect(),
        Err(_) => SAMPLE.into(),
    };
    let mut counts = Counts::new();
    let mut wrong = Vec::new();
    let mut expected = BTreeSet::new();
    let mut sequence = 1;
    for step in Step::ALL {
        for (when, name) in [(When::Instead, "instead"), (When::After, "after")] {
            for number in numbers.iter().copied() {
                sequence += 1;
                let trial = Trial {
                    participant: &participant,
                    proxy: &proxy,
                    rule: Rule {
                        at: step.statement(),
                        when,
                        number,
                    },
                    transaction: tx(sequence),
                    id: format!("p{sequence}"),
                };
                let Some((met, is_there)) = trial.run(step).await else {
                    panic!("{step:?} was not met");
                };
                if is_there {
                    expected.extend([trial.id.clone(), format!("{}b", trial.id)]);
                }
                *counts
                    .entry((step, name))
                    .or_default()
                    .entry(met)
                    .or_default() += 1;
                if step.answers(number, stand.world) != met {
                    wrong.push(format!("{step:?} {name} {number}: {met}"));
                }
            }
        }
        // Each step's are compared before the next's.
        assert_eq!(in_doubt(&participant).await, [], "{step:?}");
        let there: BTreeSet<String> = stand.purchases().await.into_iter().collect();
        assert_eq!(there, expected, "{step:?}");
    }
    println!("{:?}: {} numbers at each step", stand.world, numbers.len());
    for ((step, when), words) in &counts {
        println!("  {:<10} {when:<8} {words:?}", format!("{step:?}"));
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}
