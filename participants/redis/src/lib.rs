//! tandem-redis
