-- Makes a coordinator known, unless a newer start of it or another log is known. Begins another life
-- of the store where the store is not what it was: another server, or without something that it should
-- remember.
--
-- Runs with allow-oom: recovery must be able to go on at the memory limit.
--
-- KEYS, ARGV: common.lua, of a branch that is nobody's; from ARGV[9] on
--   log id, instance id, how many newest commits to answer with, run_id of the server (may be empty),
--   the highest number of changes that the store has told, then the members of commits that it has
--   acknowledged
-- Answers
--   {"FENCED", "LOG" | "EPOCH" | "INSTANCE", what is known}
--   {"ENLISTED", "KNOWN" | "NEW", life, changes, newest commits as members}

finish_interrupted()
local log, instance, newest, run, known_changes =
  ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12], tonumber(ARGV[13])
local known = redis.call('HMGET', COORDINATOR, 'epoch', 'log', 'instance', 'remembered')
if known[1] then
  if known[2] ~= log then
    return {'FENCED', 'LOG', known[2]}
  end
  if tonumber(known[1]) > EPOCH then
    return {'FENCED', 'EPOCH', known[1]}
  end
  if tonumber(known[1]) == EPOCH and known[3] ~= instance then
    return {'FENCED', 'INSTANCE', known[3]}
  end
end

local store = redis.call('HMGET', STORE, 'life', 'run', 'changes')
local changes = tonumber(store[3] or '0')
local remembered = redis.call('ZCARD', COMMITTED)
local has_lost = tonumber(known[4] or '0') ~= remembered or changes < known_changes
for at = 14, #ARGV do
  local member = ARGV[at]
  has_lost = has_lost or not redis.call('ZSCORE', COMMITTED, member) and not is_forgotten(member)
end
if not store[1] or run ~= '' and store[2] ~= run or has_lost then
  local time = redis.call('TIME')
  -- Two lives never have one name, whatever the clock says.
  local life = math.max(time[1] * 1000000 + time[2], tonumber(store[1] or '0') + 1)
  store[1] = digits(life)
  redis.call('HSET', STORE, 'life', store[1], 'run', run)
end
redis.call('HSET', COORDINATOR, 'epoch', ARGV[3], 'log', log, 'instance', instance,
  'remembered', remembered)
return {
  'ENLISTED',
  known[1] and 'KNOWN' or 'NEW',
  store[1],
  digits(changes),
  redis.call('ZREVRANGE', COMMITTED, 0, newest - 1),
}
