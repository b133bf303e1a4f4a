//! What the participant promises, on each Redis and Valkey that this machine has or can fetch.

#![allow(clippy::unwrap_used)]

mod back_in_time;
mod cost;
mod denied;
mod expiry;
mod fencing;
mod hashes;
mod loss;
mod memory;
mod migrate;
mod model;
mod parts;
mod place;
mod pools;
mod promises;
mod replicas;
mod rights;
mod settings;
mod shared;
mod stage;
mod torn;
mod trouble;
