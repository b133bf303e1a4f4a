-- Put before every script about a transaction or a coordinator, after the shebang.
--
-- KEYS (all in one slot)
--   1 coordinator  hash    epoch, log, instance, floor, remembered: how many are in committed
--   2 committed    zset    EPOCH.SEQUENCE, scored by order: committed and not yet forgotten
--   3 released     zset    EPOCH.SEQUENCE, scored by order: rolled back or refused whole
--   4 answers      hash    EPOCH.SEQUENCE -> what a repeat must be told again, as JSON
--   5 excepted     set     EPOCH.SEQUENCE below the floor that are not forgotten
--   6 held         hash    stock -> units held by all prepared transactions together
--   7 prepared     zset    transaction id, scored by the prepare's time in Unix microseconds
--   8 holds        hash    stock -> units that this transaction holds; there while it is prepared
--   9 debt         hash    stock -> units decided and not deducted
--  10 witness      hash    EPOCH.(SEQUENCE / 64) -> 64 characters, 1 where a transaction's units were
--                          deducted and its memory is not forgotten. Not under the prefix of the
--                          others: it goes with the stock, not with tandem's memory
--  11 life         hash    id, replid: which life of the store this is, by whom it was begun
-- ARGV
--   1 transaction id   2 its EPOCH.SEQUENCE   3 its order   4 the caller's epoch
--
-- "stock" is the stock key, or the field of the stock hash. Units travel as text: a Lua number
-- is a double, and Redis cuts it when it answers.

local COORDINATOR, COMMITTED, RELEASED, ANSWERS, EXCEPTED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local HELD, PREPARED, HOLDS, DEBT = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local WITNESS, LIFE = KEYS[10], KEYS[11]
local TRANSACTION, MEMBER, ORDER, EPOCH = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

-- Words given to one command: Lua's unpack fails beyond about 8,000. Even, for pairs.
local WORDS = 2000

local function in_chunks(words, act)
  for first = 1, #words, WORDS do
    act(unpack(words, first, math.min(first + WORDS - 1, #words)))
  end
end

local function digits(number)
  return string.format('%.0f', number)
end

-- The answer to a caller that may do nothing: one that is fenced off by a later epoch, or one that
-- the store does not know (any more) and that would go on without what the store has lost.
local function refused_caller()
  local known = redis.call('HGET', COORDINATOR, 'epoch')
  if not known then
    return {'LOST'}
  end
  return tonumber(known) > EPOCH and {'FENCED', known}
end

-- Where the witness has a transaction: the field, and which of its characters.
local function witness_place(member)
  local epoch, sequence = string.match(member, '^(%d+)%.(%d+)$')
  sequence = tonumber(sequence)
  return epoch .. '.' .. digits(math.floor(sequence / 64)), sequence % 64 + 1
end

local NO_WITNESS = string.rep('0', 64)

local function with_witness(row, place, character)
  return string.sub(row, 1, place - 1) .. character .. string.sub(row, place + 1)
end

-- Whether the coordinator said that it will never ask about this transaction again.
local function is_forgotten()
  local floor = redis.call('HGET', COORDINATOR, 'floor')
  return floor and tonumber(ORDER) < tonumber(floor)
    and redis.call('SISMEMBER', EXCEPTED, MEMBER) == 0
end

-- What a repeat must be told again.
local function remembered_answer()
  local json = redis.call('HGET', ANSWERS, MEMBER)
  return json and cjson.decode(json) or {}
end

-- The id of the store's present life; false where nobody has enlisted in it, so that nobody has asked
-- what it has lost. Empty where the user may not read INFO.
local function incarnation()
  local info = redis.pcall('INFO', 'replication')
  local replid = type(info) == 'string' and string.match(info, 'master_replid:(%w+)')
  if not replid then
    return ''
  end
  local life = redis.call('HMGET', LIFE, 'id', 'replid')
  return life[2] == replid and replid .. '.' .. life[1]
end

-- Values of a hash's fields, in their order; false where there is none.
local function hash_values(key, fields)
  local values = {}
  in_chunks(fields, function(...)
    for _, value in ipairs(redis.call('HMGET', key, ...)) do
      values[#values + 1] = value
    end
  end)
  return values
end

-- Gives back all that the transaction holds.
local function release_holds()
  local flat = redis.call('HGETALL', HOLDS)
  local stocks = {}
  for i = 1, #flat, 2 do
    stocks[#stocks + 1] = flat[i]
  end
  local sums = hash_values(HELD, stocks)
  local kept, gone = {}, {}
  for i, stock in ipairs(stocks) do
    local rest = tonumber(sums[i] or '0') - tonumber(flat[2 * i])
    if rest > 0 then
      kept[#kept + 1] = stock
      kept[#kept + 1] = digits(rest)
    else
      gone[#gone + 1] = stock
    end
  end
  in_chunks(kept, function(...) redis.call('HSET', HELD, ...) end)
  in_chunks(gone, function(...) redis.call('HDEL', HELD, ...) end)
  redis.call('DEL', HOLDS)
  redis.call('ZREM', PREPARED, TRANSACTION)
end
