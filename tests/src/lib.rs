//! tandem-tests
