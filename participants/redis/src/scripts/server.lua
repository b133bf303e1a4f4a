-- Put before the scripts for which it matters: what the server can do, by its version.

-- Whether a field of a hash can have a time to live: from Redis 7.4 and Valkey 9.0 on.
local HAVE_FIELDS_EXPIRIES = redis.REDIS_VERSION_NUM >= 0x00070400
  or (redis.VALKEY_VERSION_NUM or 0) >= 0x00090000

