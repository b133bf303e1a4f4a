-- Raises the coordinator's floor and drops the memory of what is below it, a bounded number of
-- transactions a call.
--
-- Runs with allow-oom: forgetting frees memory.
--
-- KEYS: common.lua; ARGV 1 to 4: common.lua, of the first transaction that is not forgotten
-- ARGV 5 how many transactions to drop at most; from 6 on, in their order, the transactions below
--   the floor that stay: EPOCH.SEQUENCE and order
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"DONE"}  nothing is left to drop, or a later floor is known
--   {"MORE"}  call again

local refusal = refused_caller()
if refusal then
  return refusal
end
local floor = redis.call('HGET', COORDINATOR, 'floor')
if floor and tonumber(floor) > tonumber(ORDER) then
  return {'DONE'}
end

local function drop_witness(members)
  local rows = {}
  for _, member in ipairs(members) do
    local name, place = witness_place(member)
    if not rows[name] then
      rows[name] = {string.byte(redis.call('HGET', WITNESS, name) or NO_WITNESS, 1, -1)}
    end
    rows[name][place] = 48
  end
  for name, characters in pairs(rows) do
    local row = string.char(unpack(characters))
    if row == NO_WITNESS then
      redis.call('HDEL', WITNESS, name)
    else
      redis.call('HSET', WITNESS, name, row)
    end
  end
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
    local dropped = 0
    in_chunks(old, function(...)
      dropped = dropped + redis.call('ZREM', memory, ...)
      redis.call('HDEL', ANSWERS, ...)
    end)
    if memory == COMMITTED and dropped > 0 then
      redis.call('HINCRBY', COORDINATOR, 'remembered', -dropped)
      drop_witness(old)
    end
  end
end
return {left == 0 and 'MORE' or 'DONE'}
