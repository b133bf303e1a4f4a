//! tandem-proto
