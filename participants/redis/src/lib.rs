//! The Redis and Valkey participant: stock that is held for a purchase before it is deducted.
//!
//! The app's stock value stays where it is and stays an integer; only a commit changes it. Beside
//! it tandem keeps, under a prefix of its own, how many units are held and for whom, and what it
//! remembers of each transaction. Available is the stock less what is held. No key of tandem's
//! ever gets a time to live.
//!
//! Every change is one Lua script, which Redis carries out whole and writes to its append-only
//! file whole. The scripts are in `scripts/`; the head of `common.lua` lists the keys.
//!
//! - **Memory.** What is remembered of a transaction (committed, rolled back, refused) goes when
//!   the coordinator says that it will not ask again, and not before: some 110 bytes for each on
//!   Redis 7.0 and 8.0, 66 on Valkey 9.1, and the text of the verdict where something was refused
//!   or is owed.
//! - **A lost branch.** A commit that finds neither hold nor memory carries out the decision itself
//!   and says so ([`Redone`](tandem_participant::CommitEvidence::Redone)); a repeat finds its
//!   memory.
//! - **Loss.** A life of the store begins when a coordinator enlists and finds another replication id
//!   than before, or less memory than was counted. Until somebody has enlisted in it the store promises
//!   nothing, and a coordinator that it does not know is refused: so a restart, a failover, a restored
//!   copy and `FLUSHALL` are noticed at the next call, and what was lost is asked for (`recall`).
//! - **The witness.** Whether a commit whose memory is missing took effect can't be told from the stock.
//!   A hash outside tandem's prefix has one character for each commit that is remembered (1.3 bytes),
//!   written in the same script as the stock. An old copy and `FLUSHALL` take it with the stock: then
//!   the commit is made again. Whoever deletes tandem's own keys leaves it: then only the memory is made
//!   again. Whoever deletes it too says that the stock was replaced.
//! - **Debt.** tandem never makes a stock value negative and never creates a stock key. What a
//!   decision can't deduct, since the app lowered the stock by itself, or removed or spoilt the
//!   key, is added to the sku's debt and reported: deducted and owed together are what was decided.
//! - **Bounds.** Stock values lie within 2^53 of zero, epochs below 2^21, sequences below 2^32:
//!   Lua and the scores of sorted sets count in doubles.

mod audit;
mod by_hand;
mod connection;
mod describe;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod participant;
mod refusal;
mod reply;
mod scripts;
mod settings;
mod view;

pub use by_hand::commit_by_hand;
pub use participant::RedisParticipant;
pub use settings::{Settings, SettingsError};
