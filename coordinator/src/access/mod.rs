//! Who may do what: roles, who has them, and the gate that every call passes.
//!
//! What is not granted is denied. Without `[access]` the gate is open: listeners are on this machine then, or
//! the configuration says that they are not.

mod called_by;
mod finding;
mod gate;
mod grant;
mod role;
mod tokens;
mod who;

pub use called_by::{CalledBy, Signature};
pub(crate) use finding::OfListener;
pub use finding::findings;
pub use gate::{Admitted, Gate};
pub use grant::Grant;
#[cfg(test)]
pub(crate) use role::tests::paths;
pub use role::{Needs, Role, needs};
pub use tokens::Tokens;
pub use who::{Who, names};
