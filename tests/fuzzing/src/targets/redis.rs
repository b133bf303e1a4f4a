//! What a Redis server answers, read by the participant itself: a server that answers with the
//! input is at the other end of its connection.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_participant::{
    Acknowledged, Commit, Enlist, Error, Forget, Participant, Prepare, RollBack, Vote,
};
use tandem_protocol::{Entry, Epoch, Item, Purchase, Timestamp, TransactionId};
use tandem_redis::{RedisParticipant, Settings, read_value};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

use super::{few, shape};
use crate::replies::{self, Reply};
use crate::{Grammar, Target};

/// Longest detail of a refusal, as the contract has it.
const DETAIL_BYTES_MAX: usize = 300;

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "redis_replies",
            grammar: Grammar::Replies,
            seeds,
            read: |input| STAND.with(|stand| stand.get_or_init(Stand::new).ask(input)),
        },
        Target {
            name: "redis_stock_key",
            grammar: Grammar::Text(&[
                "{sku}", "tandem:", "stock:", "|", "{", "}", "lamp", "tan", "dem:",
            ]),
            seeds: || {
                let all = [
                    "tandem:|stock:{sku}|lamp|chair",
                    "tandem:|{sku}|tandem:held|a",
                    "t|{sku}:t|a|b",
                    "tandem:|tan{sku}|dem:held|dem",
                ];
                all.map(|text| text.into()).into()
            },
            read: |input| {
                let text = String::from_utf8_lossy(input);
                let mut fields = text.splitn(4, '|');
                let mut next = || fields.next().unwrap_or_default();
                let (prefix, pattern, one, two) = (next(), next(), next(), next());
                stock_keys(prefix, pattern, input.len() % 2 == 0, [one, two]).to_owned()
            },
        },
        Target {
            name: "redis_stock_value",
            grammar: Grammar::Text(&["-", "+", "0", " ", ".", "9007199254740992", "e"]),
            seeds: || {
                ["7", "-7", "007", "9007199254740991"]
                    .map(|text| text.into())
                    .into()
            },
            read: |input| stock_value(&String::from_utf8_lossy(input)).to_owned(),
        },
    ]
}

/// Two skus under one pattern: their keys differ, and none is one of tandem's own.
fn stock_keys(prefix: &str, pattern: &str, in_hash: bool, skus: [&str; 2]) -> &'static str {
    let mut settings = Settings::at("redis://127.0.0.1");
    settings.key_prefix = prefix.to_owned();
    match in_hash {
        true => {
            settings.stock_hash = Some("stock".to_owned());
            settings.stock_field = Some(pattern.to_owned());
        }
        false => settings.stock_key = Some(pattern.to_owned()),
    }
    let name = "stock".parse().expect("well formed");
    let Ok(participant) = RedisParticipant::new(name, settings) else {
        return "refused";
    };
    let keys = skus.map(|sku| participant.stock_of(sku));
    for key in &keys {
        match key {
            Ok(key) => assert!(in_hash || !key.starts_with(prefix), "{key:?} is reserved"),
            Err(key) => assert!(
                key.strip_prefix("witness:")
                    .unwrap_or(key)
                    .starts_with(prefix),
                "{key:?} is not reserved"
            ),
        }
    }
    assert_eq!(skus[0] == skus[1], keys[0] == keys[1], "{keys:?}");
    match keys {
        [Ok(_), Ok(_)] => "both",
        [Ok(_), Err(_)] | [Err(_), Ok(_)] => "one is reserved",
        [Err(_), Err(_)] => "both are reserved",
    }
}

/// A stock value: only the one text that the scripts take for an integer is one.
fn stock_value(text: &str) -> &'static str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (!digits.starts_with('0') || text == "0");
    let (value, problem) = read_value(text);
    match (value, problem) {
        (Some(value), None) => {
            assert!(canonical && value.to_string() == text && value.unsigned_abs() < 1 << 53);
            "a value"
        }
        (_, Some(problem)) => {
            let small = digits.len() <= 15;
            assert!(!(canonical && small), "{text:?} is an integer: {problem}");
            problem
        }
        (None, None) => panic!("{text:?} is neither"),
    }
}

/// What is asked (the first byte), and good answers to it.
fn seeds() -> Vec<Vec<u8>> {
    let answers: [(u8, &str); 16] = [
        (
            0,
            "*3\r\n$4\r\nVOTE\r\n$6\r\nlife-1\r\n*1\r\n*4\r\n$1\r\n1\r\n$12\r\nINSUFFICIENT\r\n$10\r\nstock:lamp\r\n$1\r\n0\r\n",
        ),
        (0, "*2\r\n$2\r\nNO\r\n$8\r\nRELEASED\r\n"),
        (0, "*2\r\n$6\r\nFENCED\r\n$1\r\n9\r\n"),
        (1, "*2\r\n$7\r\nAPPLIED\r\n*0\r\n"),
        (
            1,
            "*2\r\n$6\r\nREDONE\r\n*1\r\n*4\r\n$10\r\nstock:lamp\r\n$1\r\n2\r\n$5\r\nSHORT\r\n$1\r\n0\r\n",
        ),
        (1, "*1\r\n$8\r\nRELEASED\r\n"),
        (2, "*1\r\n$4\r\nDONE\r\n"),
        (2, "*1\r\n$9\r\nCOMMITTED\r\n"),
        (
            3,
            "*4\r\n$8\r\nENLISTED\r\n$5\r\nKNOWN\r\n$6\r\nlife-1\r\n*1\r\n$6\r\n3.1041\r\n",
        ),
        (3, "*3\r\n$6\r\nFENCED\r\n$3\r\nLOG\r\n$5\r\nlog-2\r\n"),
        (
            4,
            "*4\r\n$11\r\nshop.3.1042\r\n$16\r\n1700000000000000\r\n$3\r\nx.y\r\n$1\r\n5\r\n",
        ),
        (
            5,
            "*3\r\n$8\r\nPREPARED\r\n:1700000000000000\r\n*2\r\n$16\r\n{\"stock:lamp\":2}\r\n$0\r\n\r\n",
        ),
        (5, "*2\r\n$9\r\nCOMMITTED\r\n*0\r\n"),
        (6, "*1\r\n$4\r\nMORE\r\n*1\r\n$4\r\nDONE\r\n"),
        (
            7,
            "$38\r\nrole:master\r\nredis_version:7.0.15\r\na:b\r\n\r\n*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n",
        ),
        (8, "+string\r\n$2\r\n17\r\n$-1\r\n*0\r\n"),
    ];
    let seed = |(asked, answer): (u8, &str)| [&[asked], answer.as_bytes()].concat();
    answers.map(seed).into()
}

thread_local! {
    static STAND: OnceCell<Stand> = const { OnceCell::new() };
}

/// A participant, and the server that it talks to.
struct Stand {
    runtime: Runtime,
    participant: RedisParticipant,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    _folder: TempDir,
}

enum Answer {
    Reply(Vec<u8>),
    /// Bytes that are no reply: nothing can follow them.
    Last(Vec<u8>),
}

impl Stand {
    fn new() -> Stand {
        let folder = tempfile::tempdir().expect("the folder for temporary files is writable");
        let socket = folder.path().join("s");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).expect("a socket of its own")
        };
        let given = answers.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, given.clone()));
            }
        });
        let settings = Settings::at(format!("redis+unix://{}", socket.display()));
        let name = "stock".parse().expect("well formed");
        Stand {
            runtime,
            participant: RedisParticipant::new(name, settings).expect("good settings"),
            answers,
            _folder: folder,
        }
    }

    fn ask(&self, input: &[u8]) -> String {
        let (asked, bytes) = input.split_first().unwrap_or((&0, &[]));
        let (replies, whole) = replies::parse(bytes);
        let written: Vec<Vec<u8>> = replies
            .iter()
            .map(|reply| replies::write(std::slice::from_ref(reply)))
            .collect();
        let rest = &bytes[written.iter().map(Vec::len).sum::<usize>().min(bytes.len())..];
        let mut answers: VecDeque<Answer> = written.into_iter().map(Answer::Reply).collect();
        if !whole {
            answers.push_back(Answer::Last(rest.to_vec()));
        }
        *lock(&self.answers) = answers;
        self.runtime.block_on(self.call(asked % 9, input))
    }

    /// Makes one of the participant's calls. What it says, the input has said.
    async fn call(&self, asked: u8, input: &[u8]) -> String {
        let said = |word: &str| {
            input
                .windows(word.len())
                .any(|part| part == word.as_bytes())
        };
        let participant = &self.participant;
        let id: TransactionId = "shop.3.1042".parse().expect("well formed");
        let outcome = match asked {
            0 => {
                let entries = vec![entry(0, "chair"), entry(1, "lamp")];
                let prepare = Prepare {
                    transaction: id,
                    entries,
                    participants: Vec::new(),
                    incarnation: String::new(),
                    acknowledged: Acknowledged::default(),
                    begin_time: Timestamp(1),
                    timeout: Duration::from_secs(5),
                };
                participant
                    .prepare(&prepare)
                    .await
                    .map(|voted| match voted.vote {
                        Vote::Yes { refused, .. } => {
                            assert!(said("VOTE"));
                            for entry in &refused {
                                assert!(entry.number < 2, "an entry that was not asked for");
                                assert!(entry.refusal.detail.len() <= DETAIL_BYTES_MAX);
                            }
                            let reasons = refused.iter().map(|entry| entry.refusal.reason.as_ref());
                            format!("yes {}", reasons.take(2).collect::<Vec<_>>().join(" "))
                        }
                        Vote::No { detail } => {
                            assert!(said("NO"));
                            format!("no {}", shape(&detail))
                        }
                    })
            }
            1 => {
                let commit = Commit {
                    caller_epoch: id.epoch,
                    transaction: id,
                    entries: vec![entry(0, "lamp")],
                    begin_time: Timestamp(1),
                    decide_time: Timestamp(1),
                };
                participant.commit(&commit).await.map(|done| {
                    assert!(said("APPLIED") || said("ALREADY") || said("REDONE"));
                    format!("{:?} {}", done.evidence, few(done.debts.len()))
                })
            }
            2 => {
                let roll_back = RollBack {
                    caller_epoch: id.epoch,
                    transaction: id,
                };
                participant.roll_back(&roll_back).await.map(|_| {
                    assert!(said("DONE"));
                    "rolled back".to_owned()
                })
            }
            3 => {
                let enlist = Enlist {
                    coordinator: "shop".parse().expect("well formed"),
                    log_id: "log-1".into(),
                    epoch: Epoch(3),
                    instance_id: "instance-1".into(),
                    acknowledged: Acknowledged::default(),
                };
                participant
                    .enlist(&enlist)
                    .await
                    .map(|enlisted| format!("enlisted {}", few(enlisted.newest_committed.len())))
            }
            4 => participant
                .list_prepared()
                .await
                .map(|branches| few(branches.len()).to_owned()),
            5 => participant
                .inspect(&id)
                .await
                .map(|truth| format!("{:?} {}", truth.state, shape(&truth.detail))),
            6 => {
                let forget = Forget {
                    caller_epoch: id.epoch,
                    before: id,
                    except: Vec::new(),
                    closed: None,
                };
                participant.forget(&forget).await.map(|()| {
                    assert!(said("DONE"));
                    "forgotten".to_owned()
                })
            }
            7 => participant.describe().await.map(|description| {
                let names = description
                    .findings
                    .iter()
                    .map(|finding| finding.name.as_str());
                names.collect::<Vec<_>>().join(" ")
            }),
            _ => participant.stock("lamp").await.map(|stock| match stock {
                Some(stock) => format!("stock {} {}", stock.value.is_some(), shape(&stock.detail)),
                None => "no stock".to_owned(),
            }),
        };
        match outcome {
            Ok(outcome) => format!("{asked} {outcome}"),
            Err(error) => {
                match &error {
                    Error::Fenced { .. } => assert!(said("FENCED")),
                    Error::Heuristic { .. } => assert!(said("RELEASED") || said("COMMITTED")),
                    _ => {}
                }
                let kind = format!("{error:?}");
                let kind = kind.split(' ').next().unwrap_or_default();
                // What the server itself says begins behind the address.
                let said = error.to_string();
                let said = said
                    .rsplit_once("/s: ")
                    .map_or(said.as_str(), |(_, said)| said);
                let word = said.split([':', ' ']).next().unwrap_or_default();
                format!("{asked} {kind} {}", shape(word))
            }
        }
    }
}

/// Answers each command in turn. What a client says and asks at the entrance is fine: whom an input had denied
/// the access would not come in for the inputs after it.
async fn serve(mut stream: UnixStream, answers: Arc<Mutex<VecDeque<Answer>>>) {
    let mut unread = Vec::new();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = stream.read(&mut bytes).await else {
            return;
        };
        unread.extend_from_slice(&bytes[..length]);
        let (commands, _) = replies::parse(&unread);
        unread.drain(..replies::write(&commands).len());
        let mut out = Vec::new();
        for command in commands {
            let next = match greets(&command) {
                true => Some(Answer::Reply(b"+OK\r\n".to_vec())),
                false => lock(&answers).pop_front(),
            };
            match next {
                Some(Answer::Reply(reply)) => out.extend(reply),
                Some(Answer::Last(bytes)) => {
                    out.extend(bytes);
                    let _ = stream.write_all(&out).await;
                    return;
                }
                None => out.extend(b"$-1\r\n"),
            }
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

fn greets(command: &Reply) -> bool {
    let Reply::Array(words) = command else {
        return false;
    };
    match words.as_slice() {
        [Reply::Bulk(word), Reply::Bulk(section)] => word == b"INFO" && section == b"server",
        [Reply::Bulk(word), ..] => word == b"CLIENT",
        _ => false,
    }
}

fn entry(number: u32, sku: &str) -> Entry {
    let item = Item {
        sku: sku.into(),
        quantity: 2,
        unit_price_minor: 1_999,
        ..Default::default()
    };
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: format!("p-{number}"),
            customer_id: "ann".into(),
            currency: "EUR".into(),
            items: vec![item],
            ..Default::default()
        }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
