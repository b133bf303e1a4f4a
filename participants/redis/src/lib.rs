//! The Redis and Valkey participant: stock that is held for a purchase before it is deducted.
//!
//! The app's stock value stays where it is and stays an integer; only a commit changes it. Beside
//! it tandem keeps, under a prefix of its own, how many units are held and for whom, and what it
//! remembers of each transaction. Available is the stock less what is held. No key of tandem's
//! ever gets a time to live.
//!
//! Every change is one Lua script. The scripts are in `scripts/`; the head of `common.lua` lists the keys.
//! Redis undoes nothing of a script that fails in its middle, and a torn append-only file may bring back a
//! script's beginning. So what must not part is written by one command, and what a script has begun is
//! known (`busy`) and put right by the next one that writes.
//!
//! - **One command.** The stock, the count of what tandem has deducted of it in all, and the witness of the
//!   deduction change together, in absolute values. In every beginning of a script, and in every replay of
//!   one, the sum of stock and count is changed by the app alone. Stock in hashes of several products no one
//!   command changes: each hash gets a mark of the transaction with its stock and count, the witness follows
//!   the last hash, and then the marks go. Whoever goes on passes over the hashes that have the mark.
//! - **Whose.** What is held is kept by the stock itself (its key, or hash and field), so that all who share
//!   a stock see each other's holds; what is remembered by coordinator and participant.
//! - **Memory.** What is remembered of a transaction (committed, rolled back, refused) goes when
//!   the coordinator says that it will not ask again, and not before: some 110 bytes for each on
//!   Redis 7.0 and 8.0, 66 on Valkey 9.1, and the text of the verdict where something was refused
//!   or is owed. A roll back goes as soon as the transaction can't be prepared any more.
//! - **A lost branch.** A commit that finds neither hold nor memory carries out the decision itself
//!   and says so ([`Redone`](tandem_participant::CommitEvidence::Redone)); a repeat finds its
//!   memory.
//! - **Loss.** A life of the store begins when a coordinator enlists and finds another run of the server
//!   than before, or less than the store has acknowledged: fewer changes than it has told, a commit of the
//!   coordinator's that it does not know, less memory than was counted. Each prepare says what it knows. In
//!   another life nothing is promised and nothing is done before somebody has enlisted: so a restart, a
//!   failover, a restored copy, a machine put back in time and `FLUSHALL` are noticed at the next call, and
//!   what was lost is asked for (`recall`). A replica that comes or goes changes nothing.
//! - **The first write** to a server that was started anew follows what `enlist.rs` says.
//! - **The witness.** Whether a commit whose memory is missing took effect can't be told from the stock.
//!   Keys outside tandem's prefix (with a stock hash: fields of it) have one character for each commit that
//!   is remembered (1.3 bytes). An old copy and `FLUSHALL` take it with the stock: then the commit is made
//!   again. Whoever deletes tandem's own keys leaves it: then only the memory is made again. Whoever deletes
//!   it too says that the stock was replaced.
//! - **Debt.** tandem never makes a stock value negative and never creates a stock key. What a
//!   decision can't deduct, since the app lowered the stock by itself, or removed or spoilt the
//!   key, is added to the sku's debt and reported: deducted and owed together are what was decided.
//! - **Bounds.** Stock values lie within 2^53 of zero: Lua counts in doubles.

mod audit;
mod by_hand;
mod calls;
mod connection;
mod danger;
mod describe;
mod enlist;
mod entrance;
mod examine;
mod keys;
mod participant;
mod place;
mod refusal;
mod remedy;
mod reply;
mod rights;
mod scripts;
mod settings;
mod trial;
mod view;
mod wanted;

pub use by_hand::{
    commit_by_hand, commit_units_by_hand, count_by_hand, end_by_hand, newest_by_hand,
    release_by_hand, take_back_by_hand,
};
pub use danger::FindingName;
pub use participant::RedisParticipant;
pub use refusal::read_value;
pub use settings::{Settings, SettingsError};
