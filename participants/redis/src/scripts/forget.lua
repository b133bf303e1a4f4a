-- Raises the coordinator's floor and drops the memory of what is below it, a bounded number of
-- transactions a call.
--
-- Runs with allow-oom: forgetting frees memory.
--
-- KEYS: common.lua; ARGV 1 to 4: common.lua, of the first transaction that is not forgotten
-- ARGV 5 how many transactions to drop at most; from 6 on, in their order, the transactions below
--   the floor that stay: EPOCH.SEQUENCE and order
-- Answers
--   {"FENCED", epoch}
--   {"DONE"}  nothing is left to drop, or a later floor is known
--   {"MORE"}  call again

local epoch = fencing_epoch()
if epoch then
  return {'FENCED', epoch}
end
local floor = redis.call('HGET', COORDINATOR, 'floor')
if floor and tonumber(floor) > tonumber(ORDER) then
  return {'DONE'}
end

redis.call('HSET', COORDINATOR, 'floor', ORDER)
redis.call('DEL', EXCEPTED)
local members, bounds = {}, {'-inf'}
for at = 6, #ARGV, 2 do
  members[#members + 1] = ARGV[at]
  bounds[#bounds + 1] = '(' .. ARGV[at + 1]
end
bounds[#bounds + 1] = '(' .. ORDER
in_chunks(members, function(...) redis.call('SADD', EXCEPTED, ...) end)

-- The newest commit stays: a coordinator that does not know it runs on an old copy of its log.
local newest = redis.call('ZRANGE', COMMITTED, -1, -1)[1]
local left = tonumber(ARGV[5])
for i = 1, #bounds - 1 do
  for _, memory in ipairs({COMMITTED, RELEASED}) do
    if left == 0 then
      return {'MORE'}
    end
    local old = redis.call('ZRANGEBYSCORE', memory, bounds[i], bounds[i + 1], 'LIMIT', 0, left)
    left = left - #old
    if old[#old] == newest and memory == COMMITTED then
      old[#old] = nil
    end
    in_chunks(old, function(...)
      redis.call('ZREM', memory, ...)
      redis.call('HDEL', ANSWERS, ...)
    end)
  end
end
return {left == 0 and 'MORE' or 'DONE'}
