//! tandem's own rows at the server, written and read on a session that is given: marker rows,
//! coordinators and their lives, and what is prepared.

pub(crate) mod contents;
pub(crate) mod evidence;
pub(crate) mod ids;
pub(crate) mod lives;
pub(crate) mod marker;
pub(crate) mod xa_recover;
pub mod xid;
