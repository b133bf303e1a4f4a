-- Tells what is remembered of a transaction; changes nothing.
--
-- KEYS, ARGV: common.lua (the caller's epoch is not looked at)
-- Answers
--   {"PREPARED", time in Unix microseconds, holds as stock and units in turn}
--   {"COMMITTED", debts}  as commit.lua answers them
--   {"RELEASED", refused}  as prepare.lua answers them
--   {"FORGOTTEN"} | {"ABSENT"}

local time = redis.call('ZSCORE', PREPARED, TRANSACTION)
if time then
  return {'PREPARED', time, redis.call('HGETALL', HOLDS)}
end
if redis.call('ZSCORE', COMMITTED, MEMBER) then
  return {'COMMITTED', remembered_answer()}
end
if redis.call('ZSCORE', RELEASED, MEMBER) then
  return {'RELEASED', remembered_answer()}
end
return {is_forgotten() and 'FORGOTTEN' or 'ABSENT'}
