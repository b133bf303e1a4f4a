//! What the participant promises, on each Redis and Valkey that this machine has or can fetch.

#![allow(clippy::unwrap_used)]

mod cost;
mod fencing;
mod loss;
mod memory;
mod model;
mod promises;
mod replicas;
mod settings;
mod stage;
mod trouble;
