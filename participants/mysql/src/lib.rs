//! tandem-mysql
