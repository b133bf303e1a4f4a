-- Tells what is held and owed, seen at one moment; changes nothing.
--
-- KEYS 1 held, 2 prepared, 3 debt (common.lua). The holds of each prepared transaction are read too:
--   which they are is known only here, and they are in the same slot.
-- ARGV 1 what their names begin with, 2 how many prepared transactions are looked at at most
-- Answers
--   {"TOO_MANY", how many are prepared}
--   {"HOLDINGS", held, debts, transactions, holds of each}  with stock and units in turn

local prepared = redis.call('ZCARD', KEYS[2])
if prepared > tonumber(ARGV[2]) then
  return {'TOO_MANY', prepared}
end
local transactions = redis.call('ZRANGE', KEYS[2], 0, -1)
local holds = {}
for i, transaction in ipairs(transactions) do
  holds[i] = redis.call('HGETALL', ARGV[1] .. transaction)
end
return {'HOLDINGS', redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3]), transactions, holds}
