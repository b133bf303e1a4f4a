-- Makes a coordinator known, unless a newer start of it or another log is known. Begins another life
-- of the store where the store is not what it was: restarted or promoted (it has another replication
-- id), or without something that it should remember.
--
-- Runs with allow-oom: recovery must be able to go on at the memory limit.
--
-- KEYS 1 coordinator, 2 committed, 3 life, 4 witness (common.lua)
-- ARGV 1 epoch, 2 log id, 3 instance id, 4 how many newest commits to answer with
-- Answers
--   {"FENCED", "LOG" | "EPOCH" | "INSTANCE", what is known}
--   {"ENLISTED", "KNOWN" | "NEW", incarnation, newest commits as EPOCH.SEQUENCE}

local COORDINATOR, COMMITTED, LIFE, WITNESS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = redis.call('HMGET', COORDINATOR, 'epoch', 'log', 'instance', 'remembered')
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

local info = redis.pcall('INFO', 'replication')
local replid = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or ''
local life = redis.call('HMGET', LIFE, 'id', 'replid')
local remembered = redis.call('ZCARD', COMMITTED)
local has_lost = known[1] and tonumber(known[4] or '-1') ~= remembered
  or not known[1] and redis.call('EXISTS', WITNESS) == 1
if not life[1] or life[2] ~= replid or has_lost then
  local time = redis.call('TIME')
  life[1] = string.format('%.0f', time[1] * 1000000 + time[2])
  redis.call('HSET', LIFE, 'id', life[1], 'replid', replid)
end
redis.call('HSET', COORDINATOR, 'epoch', ARGV[1], 'log', ARGV[2], 'instance', ARGV[3],
  'remembered', remembered)
return {
  'ENLISTED',
  known[1] and 'KNOWN' or 'NEW',
  replid ~= '' and replid .. '.' .. life[1] or '',
  redis.call('ZREVRANGE', COMMITTED, 0, tonumber(ARGV[4]) - 1),
}
