//! What the suites share: private stores, the real coordinator as a process, clients that remember
//! what they were told, and a judge that compares all of it with what the stores hold.
//!
//! A suite's case gets a [`World`] of its own: its own servers, folders and ports, nothing of
//! which is left when it ends, however it ends. What a case that failed had written to its logs is
//! printed.

#![allow(clippy::unwrap_used)]

mod answer;
pub mod chaos;
mod client;
mod coordinator;
mod counts;
mod disk;
mod dump;
mod judge;
pub mod kill;
mod links;
mod load;
mod machine;
mod parts;
mod personal;
mod programs;
mod proxy;
mod python;
mod random;
mod schema;
pub mod shop;
mod sidecar;
mod stores;
mod suite;
pub mod upgrade;
mod wait;
mod world;

pub use answer::{Answer, Asked};
pub use client::{Client, Operator, purchase};
pub use coordinator::{Coordinator, Start, copy_folder};
pub use disk::{Disk, enter_own_mounts};
pub use judge::{Books, Judge};
pub use links::{LinkName, Links};
pub use load::{Load, Records};
pub use machine::{Machine, Pair, PairName, StoreChoice};
pub use parts::Part;
pub use personal::PERSONAL;
pub use programs::tandem_program;
pub use proxy::{Proxy, Way};
pub use python::python_environment;
pub use random::Random;
pub use schema::Schema;
pub use sidecar::{Sidecar, SidecarKind};
pub use stores::{StockPlace, Stores, StoresOptions, redis_member};
pub use suite::{Body, Case, conclude, run, run_suite, skipped};
pub use wait::{until, until_some};
pub use world::{LIMITS, Setup, World};
