-- Makes a coordinator known, unless a newer start of it or another log is known.
--
-- Runs with allow-oom: recovery must be able to go on at the memory limit.
--
-- KEYS 1 coordinator, 2 committed (common.lua)
-- ARGV 1 epoch, 2 log id, 3 instance id, 4 how many newest commits to answer with
-- Answers
--   {"FENCED", "LOG" | "EPOCH" | "INSTANCE", what is known}
--   {"ENLISTED", "KNOWN" | "NEW", incarnation, newest commits as EPOCH.SEQUENCE}

local COORDINATOR, COMMITTED = KEYS[1], KEYS[2]
local known = redis.call('HMGET', COORDINATOR, 'epoch', 'log', 'instance')
if known[1] then
  local epoch = tonumber(known[1])
  if known[2] ~= ARGV[2] then
    return {'FENCED', 'LOG', known[2]}
  end
  if epoch > tonumber(ARGV[1]) then
    return {'FENCED', 'EPOCH', known[1]}
  end
  if epoch == tonumber(ARGV[1]) and known[3] ~= ARGV[3] then
    return {'FENCED', 'INSTANCE', known[3]}
  end
end
redis.call('HSET', COORDINATOR, 'epoch', ARGV[1], 'log', ARGV[2], 'instance', ARGV[3])
local info = redis.pcall('INFO', 'replication')
return {
  'ENLISTED',
  known[1] and 'KNOWN' or 'NEW',
  type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or '',
  redis.call('ZREVRANGE', COMMITTED, 0, tonumber(ARGV[4]) - 1),
}
