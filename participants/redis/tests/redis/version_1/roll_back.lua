-- Gives back what a transaction holds, and remembers it so that a late prepare holds nothing.
--
-- Runs with allow-oom: giving back frees memory.
--
-- KEYS, ARGV: common.lua
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"COMMITTED"}  committed before: a contradiction; nothing is changed
--   {"DONE"}

local refusal = refused_caller()
if refusal then
  return refusal
end
if redis.call('ZSCORE', COMMITTED, MEMBER) then
  return {'COMMITTED'}
end
if redis.call('ZSCORE', PREPARED, TRANSACTION) then
  release_holds()
elseif is_forgotten() then
  -- The floor itself refuses a late prepare.
  return {'DONE'}
end
redis.call('ZADD', RELEASED, ORDER, MEMBER)
redis.call('HDEL', ANSWERS, MEMBER)
return {'DONE'}
