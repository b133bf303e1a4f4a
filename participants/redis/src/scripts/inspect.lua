-- Tells what is remembered of a branch; changes nothing.
--
-- KEYS, ARGV: common.lua (the caller's epoch is not looked at)
-- Answers
--   {"PREPARED", time in Unix microseconds, {held, place} of its holds}
--   {"COMMITTED", debts}  as commit.lua answers them
--   {"RELEASED", refused}  as prepare.lua answers them
--   {"FORGOTTEN"} | {"ABSENT"}

local time = redis.call('ZSCORE', PREPARED, BRANCH)
if redis.call('ZSCORE', COMMITTED, MEMBER) or is_witnessed() then
  return {'COMMITTED', remembered_answer()}
end
if redis.call('ZSCORE', RELEASED, MEMBER) then
  return {'RELEASED', remembered_answer()}
end
if time then
  return {'PREPARED', time, redis.call('HMGET', HOLDS, 'held', 'place')}
end
return {is_forgotten(MEMBER) and 'FORGOTTEN' or 'ABSENT'}
