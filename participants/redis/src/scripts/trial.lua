-- Tries every command that the scripts use, on keys of every kind that they use, so that what the user
-- may not do is known before a script stops at it in its middle. Nothing of it stays, and nothing of the
-- app's is changed.
--
-- ARGV, not KEYS: a script whose keys the user may not use is refused whole, and tells of none.
-- ARGV 1 to 4 scratch keys of tandem's own, one for each type, since the user may not be allowed to delete
--   one again; 5 one beside the witness, 6 a stock key, or a hash, that no sku has, or
--   the stock hash; 7 as stock.lua has it (ARGV 10)
-- Answers {"TRIED", commands that failed and the server's words for it, in turn}

local STRING, HASH, ZSET, SET, WITNESS, STOCK = unpack(ARGV)
local failed = {'TRIED'}

local function try(command, ...)
  local answer = redis.pcall(command, ...)
  if type(answer) == 'table' and answer.err then
    failed[#failed + 1] = command
    failed[#failed + 1] = answer.err
  end
end

local function try_on(key, steps)
  for _, step in ipairs(steps) do
    try(step[1], key, unpack(step, 2))
  end
  try('DEL', key)
end

try('TIME')
for _, key in ipairs({STRING, WITNESS}) do
  try_on(key, {{'SET', '1'}, {'GET'}, {'MSET', '1'}, {'MGET'}, {'EXISTS'}, {'TYPE'}})
end
try_on(HASH, {
  {'HSET', 'a', '1', 'b', '2'}, {'HGET', 'a'}, {'HMGET', 'a', 'b'}, {'HLEN'}, {'HGETALL'},
  {'HINCRBY', 'a', '1'}, {'HSCAN', '0'}, {'HDEL', 'b'},
})
try_on(ZSET, {
  {'ZADD', '0', 'a', '0', 'b'}, {'ZSCORE', 'a'}, {'ZMSCORE', 'a'}, {'ZCARD'}, {'ZRANGE', '0', '-1'},
  {'ZREVRANGE', '0', '1'}, {'ZRANGEBYLEX', '-', '+', 'LIMIT', '0', '1'}, {'ZREM', 'a'},
})
try_on(SET, {{'SADD', 'a'}, {'SISMEMBER', 'a'}, {'SMEMBERS'}})
try('TYPE', STOCK)
local stock_type = redis.pcall('TYPE', STOCK).ok
if ARGV[7] == 'key' then
  try('MGET', STOCK)
  try('PEXPIRETIME', STOCK)
  -- Never greater than what a key has, so it changes none, and it must be allowed to write.
  try('PEXPIREAT', STOCK, '1', 'GT')
elseif stock_type == 'hash' or stock_type == 'none' then
  try('HMGET', STOCK, WITNESS)
  try('HDEL', STOCK, WITNESS)
  if HAVE_FIELDS_EXPIRIES then
    try('HPEXPIRETIME', STOCK, 'FIELDS', '1', WITNESS)
    -- It is no field, so nothing is changed.
    try('HPEXPIREAT', STOCK, '1', 'FIELDS', '1', WITNESS)
  end
end
return failed
