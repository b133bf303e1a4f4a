-- Moves what an earlier tandem kept (keys of version 1) to where this one looks for it (version 2), a
-- bounded number of transactions a call; every call goes on where the last one ended. Run at each
-- enlistment; where nothing is left to move it only looks.
--
-- Version 1 kept what is remembered by coordinator alone, with the order of a transaction as a score, the
-- witness in a hash, and what is held and owed in one hash for all places. From the first call on it
-- refuses the coordinator by name, and from the last one on every other: `life` is no hash any more.
--
-- Runs with allow-oom: an upgrade must be possible at the memory limit.
--
-- KEYS 1 life: version 1's life, and in version 2 a text that begins with the version
-- ARGV 1 what all keys of tandem's own begin with, 2 coordinator, 3 participant, 4 place (common.lua),
--   5 how many transactions to move at most, 6 the place if the witness is in it, else empty
-- Answers
--   {"MORE"}             call again
--   {"DONE"}             all is in version 2
--   {"OTHER", branch}    another coordinator's branch is prepared in version 1
--   {"NEWER", version}   a later tandem keeps its keys here

local LIFE = KEYS[1]
local PREFIX, ID, PARTICIPANT, PLACE, LEFT = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local WITNESS_IN = ARGV[6]
local OWNER = ID .. ':' .. PARTICIPANT
local VERSION = 2
local REFUSED = '(moved to keys of version 2 by a newer tandem: update this one)'
-- Later than any epoch, and exact as a double.
local NEVER = '9007199254740991'

local function old(kind)
  return PREFIX .. kind .. ':' .. ID
end
local function new(kind)
  return PREFIX .. kind .. ':' .. OWNER
end

local function member_of(epoch, sequence)
  return string.char(96 + #epoch) .. epoch .. '.' .. string.char(96 + #sequence) .. sequence
end

local function digits(number)
  return string.format('%.0f', number)
end

local kind = redis.call('TYPE', LIFE).ok
if kind == 'string' then
  local version = tonumber(string.match(redis.call('GET', LIFE), '^%d+'))
  if not version or version > VERSION then
    return {'NEWER', tostring(version)}
  end
end
local is_store_old = kind == 'hash'
if is_store_old then
  for _, branch in ipairs(redis.call('ZRANGE', PREFIX .. 'prepared', 0, -1)) do
    local coordinator = string.match(branch, '^([^.]+)%.%d+%.%d+$')
    if coordinator and coordinator ~= ID then
      return {'OTHER', branch}
    end
  end
end

local was = redis.call('HMGET', old('coordinator'), 'epoch', 'log', 'instance', 'floor', 'moving')
local is_mine = was[5] == PARTICIPANT or not was[5] and was[1] and was[1] ~= NEVER
if is_mine and not was[5] then
  redis.call('HSET', old('coordinator'), 'moving', PARTICIPANT, 'was_epoch', was[1],
    'was_log', was[2] or '', 'was_instance', was[3] or '', 'was_floor', was[4] or '')
  redis.call('HSET', old('coordinator'), 'epoch', NEVER, 'log', REFUSED)
end

-- Moves the members of one memory; gives whether all of it has moved.
local function move_memory(memory)
  local members = redis.call('ZRANGE', old(memory), 0, LEFT - 1)
  for _, text in ipairs(members) do
    local epoch, sequence = string.match(text, '^(%d+)%.(%d+)$')
    local member = epoch and member_of(epoch, sequence)
    if member then
      redis.call('ZADD', new(memory), 0, member)
      local answer = redis.call('HGET', old('answers'), text)
      if answer then
        redis.call('HSET', new('answers'), member, answer)
        redis.call('HDEL', old('answers'), text)
      end
    end
    redis.call('ZREM', old(memory), text)
  end
  LEFT = LEFT - #members
  return LEFT > 0
end

local function move_witness()
  local from = 'witness:' .. PREFIX .. ID
  if redis.call('TYPE', from).ok ~= 'hash' then
    return true
  end
  local rows = redis.call('HSCAN', from, 0, 'COUNT', math.max(LEFT, 1))[2]
  for i = 1, #rows, 2 do
    local to = 'witness:' .. PREFIX .. OWNER .. ':' .. rows[i]
    if WITNESS_IN == '' then
      redis.call('SET', to, rows[i + 1])
    elseif redis.call('TYPE', WITNESS_IN).ok == 'hash' then
      redis.call('HSET', WITNESS_IN, to, rows[i + 1])
    end
    redis.call('HDEL', from, rows[i])
  end
  LEFT = LEFT - #rows / 2
  return redis.call('EXISTS', from) == 0
end

local function move_branch(id)
  local from, to = PREFIX .. 'tx:' .. id, PREFIX .. 'tx:' .. id .. '/' .. PARTICIPANT
  local flat, held = redis.call('HGETALL', from), {}
  for i = 1, #flat, 2 do
    held[#held + 1] = cjson.encode(flat[i]) .. ':' .. digits(tonumber(flat[i + 1]))
  end
  if #held > 0 then
    -- Which entries hold it was not kept.
    redis.call('HSET', to, 'held', '{' .. table.concat(held, ',') .. '}', 'place', PLACE)
  end
  local time = redis.call('ZSCORE', PREFIX .. 'prepared', id)
  local answer = redis.call('HGET', old('answers'), string.match(id, '%.(%d+%.%d+)$'))
  if answer then
    redis.call('HSET', new('answers'), member_of(string.match(id, '%.(%d+)%.(%d+)$')), answer)
  end
  redis.call('ZADD', PREFIX .. 'prepared', time, id .. '/' .. PARTICIPANT)
  redis.call('ZREM', PREFIX .. 'prepared', id)
  redis.call('DEL', from)
end

if is_mine then
  if not (move_memory('committed') and move_memory('released') and move_witness()) then
    return {'MORE'}
  end
  for _, text in ipairs(redis.call('SMEMBERS', old('excepted'))) do
    local epoch, sequence = string.match(text, '^(%d+)%.(%d+)$')
    if epoch then
      redis.call('SADD', new('excepted'), member_of(epoch, sequence))
    end
  end
  for _, branch in ipairs(redis.call('ZRANGE', PREFIX .. 'prepared', 0, -1)) do
    if string.match(branch, '^([^.]+)%.%d+%.%d+$') == ID then
      move_branch(branch)
    end
  end
  local kept = redis.call('HMGET', old('coordinator'), 'was_epoch', 'was_log', 'was_instance', 'was_floor')
  redis.call('HSET', new('coordinator'), 'epoch', kept[1], 'log', kept[2], 'instance', kept[3],
    'remembered', redis.call('ZCARD', new('committed')))
  local floor = tonumber(kept[4])
  if floor then
    local epoch = math.floor(floor / 4294967296)
    redis.call('HSET', new('coordinator'), 'floor',
      member_of(digits(epoch), digits(floor - epoch * 4294967296)))
  end
end

if kind ~= 'string' then
  if is_store_old and PLACE ~= '' then
    for _, books in ipairs({'held', 'debt'}) do
      local flat = redis.call('HGETALL', PREFIX .. books)
      for i = 1, #flat, 2 do
        redis.call('HSET', PREFIX .. books .. ':' .. PLACE, flat[i], flat[i + 1])
      end
      redis.call('DEL', PREFIX .. books)
    end
  end
  redis.call('DEL', LIFE)
  redis.call('SET', LIFE, VERSION .. ' ' .. REFUSED)
end
if is_mine then
  redis.call('DEL', old('answers'), old('excepted'))
  redis.call('HDEL', old('coordinator'), 'moving', 'was_epoch', 'was_log', 'was_instance', 'was_floor')
end
return {'DONE'}
