//! tandem-protocol
