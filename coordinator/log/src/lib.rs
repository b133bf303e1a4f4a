//! tandem-log
