-- Raises the coordinator's floor and drops the memory of what is below it, a bounded number of
-- transactions a call.
--
-- Runs with allow-oom: forgetting frees memory.
--
-- KEYS, ARGV: common.lua, of the first transaction that is not forgotten
-- ARGV 9 how many transactions to drop at most
-- ARGV 10 member of the first transaction that may still be prepared, or empty
-- from 11 on, in their order, members of the transactions below the floor that stay
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"DONE"}  nothing is left to drop, or a later floor is known
--   {"MORE"}  call again

local refusal = refused_caller()
if refusal then
  return refusal
end
finish_interrupted()
local left = tonumber(ARGV[9])

-- Rows of the witness, without the transactions named.
local function drop_witness(members)
  local rows, flat, gone = {}, {}, {}
  for _, member in ipairs(members) do
    local epoch, sequence = string.match(member, '^%a(%d+)%.%a(%d+)$')
    -- A member of another form somebody else has put there.
    if epoch then
      sequence = tonumber(sequence)
      local name = 'witness:' .. PREFIX .. OWNER .. ':' .. epoch .. '.'
        .. digits(math.floor(sequence / 64))
      rows[name] = rows[name] or {string.byte(witness_row(WITNESS_IN, name), 1, -1)}
      rows[name][sequence % 64 + 1] = 48
    end
  end
  for name, characters in pairs(rows) do
    local row = string.char(unpack(characters))
    if row == NO_WITNESS then
      gone[#gone + 1] = name
    else
      flat[#flat + 1] = name
      flat[#flat + 1] = row
    end
  end
  if #flat > 0 then
    if WITNESS_IN == '' then
      redis.call('MSET', unpack(flat))
    else
      redis.call('HSET', WITNESS_IN, unpack(flat))
    end
  end
  if #gone > 0 then
    if WITNESS_IN == '' then
      redis.call('DEL', unpack(gone))
    else
      redis.call('HDEL', WITNESS_IN, unpack(gone))
    end
  end
end

local function drop(memory, old)
  if #old == 0 then
    return
  end
  begin()
  if memory == COMMITTED then
    drop_witness(old)
  end
  redis.call('ZREM', memory, unpack(old))
  redis.call('HDEL', ANSWERS, unpack(old))
  redis.call('HSET', COORDINATOR, 'remembered', redis.call('ZCARD', COMMITTED))
  done()
end

-- What will not be prepared any more needs no memory of its roll back.
local closed = redis.call('HGET', COORDINATOR, 'closed')
if ARGV[10] ~= '' and (not closed or closed < ARGV[10]) then
  closed = ARGV[10]
  redis.call('HSET', COORDINATOR, 'closed', closed)
end
if closed then
  local old = redis.call('ZRANGEBYLEX', RELEASED, '-', '(' .. closed, 'LIMIT', 0, left)
  left = left - #old
  drop(RELEASED, old)
  if left == 0 then
    return {'MORE'}
  end
end

local floor = redis.call('HGET', COORDINATOR, 'floor')
if floor and floor > MEMBER then
  return {'DONE'}
end
redis.call('HSET', COORDINATOR, 'floor', MEMBER)
redis.call('DEL', EXCEPTED)
local members, bounds = {}, {'-'}
for at = 11, #ARGV do
  members[#members + 1] = ARGV[at]
  bounds[#bounds + 1] = '(' .. ARGV[at]
end
bounds[#bounds + 1] = '(' .. MEMBER
in_chunks(members, function(...) redis.call('SADD', EXCEPTED, ...) end)

-- The newest commit stays: a coordinator that does not know it runs on an old copy of its log.
local newest = redis.call('ZRANGE', COMMITTED, -1, -1)[1]
for i = 1, #bounds - 1 do
  for _, memory in ipairs({COMMITTED, RELEASED}) do
    if left == 0 then
      return {'MORE'}
    end
    local old = redis.call('ZRANGEBYLEX', memory, bounds[i], bounds[i + 1], 'LIMIT', 0, left)
    left = left - #old
    if old[#old] == newest and memory == COMMITTED then
      old[#old] = nil
    end
    drop(memory, old)
  end
end
return {left == 0 and 'MORE' or 'DONE'}
