-- Gives back what a branch holds, and remembers it so that a late prepare holds nothing.
--
-- Runs with allow-oom: giving back frees memory.
--
-- KEYS, ARGV: common.lua
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"COMMITTED"}  committed before: a contradiction; nothing is changed
--   {"DONE", changes}

local refusal = refused_caller()
if refusal then
  return refusal
end
finish_interrupted()
if redis.call('ZSCORE', COMMITTED, MEMBER) or is_witnessed() then
  return {'COMMITTED'}
end
if redis.call('ZSCORE', PREPARED, BRANCH) then
  local held = read_holds()
  begin()
  redis.call('HDEL', ANSWERS, MEMBER)
  redis.call('ZADD', RELEASED, 0, MEMBER)
  release_holds(held)
  local changes = redis.call('HINCRBY', STORE, 'changes', 1)
  done()
  return {'DONE', digits(changes)}
end
if is_forgotten(MEMBER) or is_closed() then
  -- The floor itself refuses a late prepare.
  return {'DONE', all_changes()}
end
redis.call('HDEL', ANSWERS, MEMBER)
redis.call('ZADD', RELEASED, 0, MEMBER)
return {'DONE', all_changes()}
