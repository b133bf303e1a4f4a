//! tandem-servers
