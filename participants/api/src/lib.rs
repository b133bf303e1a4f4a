//! tandem-participant
