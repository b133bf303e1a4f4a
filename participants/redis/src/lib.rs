//! The Redis and Valkey participant: stock that is held for a purchase before it is deducted.
//!
//! The app's stock value stays where it is and stays an integer; only a commit changes it. Beside
//! it tandem keeps, under a prefix of its own, how many units are held and for whom, and what it
//! remembers of each transaction. Available is the stock less what is held. No key of tandem's
//! ever gets a time to live.
//!
//! Every change is one Lua script, which Redis carries out whole and writes to its append-only
//! file whole. The scripts are in `scripts/`; the head of `common.lua` lists the keys.

mod connection;
mod describe;
mod keys;
mod participant;
mod refusal;
mod reply;
mod scripts;
mod settings;
mod view;

pub use participant::RedisParticipant;
pub use settings::{Settings, SettingsError};
