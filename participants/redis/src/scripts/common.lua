-- Put before every script about a branch or a coordinator, after the shebang.
--
-- A branch is a transaction's part at one participant: TRANSACTION/PARTICIPANT. What is remembered is
-- kept by coordinator and participant ("C" below), what is held by the stock itself, so that all who
-- share a stock see each other's holds.
--
-- Redis undoes nothing of a script that fails in its middle, and a torn append-only file can bring back
-- a script's beginning (measured on Redis 7.0 and 8.0). So:
--   * stock, the count of what was deducted and the witness of the deduction change in one command, or
--     where no command can (stock in several hashes), a mark with each hash's in one, and then the witness;
--   * before its first write a script puts the branch's name into `busy` and takes it out after the
--     last: whoever finds it there puts the books right first (finish_interrupted).
--
-- KEYS (all in one slot)
--   1 store        hash    life: which life of the store this is; run: run_id of the server when it
--                          began; changes: how many promises, commits and roll backs were made
--   2 busy         string  BRANCH of the script that is under way, or was when it was stopped, =, whether
--                          the witness is in PLACE (1 or 0), =, PLACE
--   3 coordinator  hash    epoch, log, instance, floor, closed, remembered: how many are in committed
--   4 committed    zset    members (keys.rs) in their order: committed and not yet forgotten
--   5 released     zset    the same: rolled back or refused whole
--   6 answers      hash    member -> what a repeat must be told again, as JSON
--   7 excepted     set     members below the floor that are not forgotten
--   8 held         hash    stock -> units held by all prepared branches together
--   9 debt         hash    stock -> units decided and not deducted
--  10 prepared     zset    BRANCH, scored by the prepare's time in Unix microseconds
--  11 holds        hash    of this branch, there while it is prepared: held: {STOCK: units} of all entries;
--                          entries: {ENTRY: {STOCK: units}}; both JSON;
--                          place, participants; hashes: the keys of those that a commit marks, as JSON
--  12 witness      string  64 characters, 1 where a transaction's units were deducted and its memory is
--                          not forgotten. With a stock hash: that hash, which has it as a field, unless
--                          the settings keep tandem's fields out of it. It goes with the stock, not with
--                          tandem's memory
-- ARGV
--   1 branch   2 its member   3 the caller's epoch   4 what all keys of tandem's own begin with
--   5 C        6 the witness's key or field, and which of its characters, separated by a space
--   7 place: the stock hash, or empty where there is not one for all
--   8 the same if the witness and the counts are fields of it, else empty
--
-- "stock" is the stock key, the field of the stock hash, or HASH#FIELD with hashes of one product. Units travel as text: a Lua number
-- is a double, and Redis cuts it when it answers.

local STORE, BUSY, COORDINATOR, COMMITTED, RELEASED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ANSWERS, EXCEPTED, HELD, DEBT = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local PREPARED, HOLDS, WITNESS = KEYS[10], KEYS[11], KEYS[12]
local BRANCH, MEMBER, EPOCH, PREFIX, PLACE = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[7]
local OWNER, WITNESS_IN = ARGV[5], ARGV[8]

-- Words given to one command: Lua's unpack fails beyond about 8,000. Divisible by 4, for tuples.
local WORDS = 7200

local function in_chunks(words, act)
  for first = 1, #words, WORDS do
    act(unpack(words, first, math.min(first + WORDS - 1, #words)))
  end
end

-- %d is the quicker one, and as wide as a C int may be.
local function digits(number)
  return string.format(math.abs(number) < 2147483648 and '%d' or '%.0f', number)
end

local KNOWN_EPOCH, FLOOR, CLOSED = unpack(redis.call('HMGET', COORDINATOR, 'epoch', 'floor', 'closed'))

-- The answer to a caller that may do nothing: one that is fenced off by a later epoch, or one that
-- the store does not know (any more) and that would go on without what the store has lost.
local function refused_caller()
  if not KNOWN_EPOCH then
    return {'LOST'}
  end
  return tonumber(KNOWN_EPOCH) > EPOCH and {'FENCED', KNOWN_EPOCH}
end

-- Whether the coordinator said that it will never ask about a transaction again.
local function is_forgotten(member)
  return FLOOR and member < FLOOR and redis.call('SISMEMBER', EXCEPTED, member) == 0
end

-- Whether the coordinator said that it will never prepare it any more.
local function is_closed()
  return CLOSED and MEMBER < CLOSED
end

-- What a repeat must be told again.
local function remembered_answer()
  local json = redis.call('HGET', ANSWERS, MEMBER)
  return json and cjson.decode(json) or {}
end

-- Values of a hash's fields, in their order; false where there is none.
local function hash_values(key, fields)
  if #fields > 0 and #fields <= WORDS then
    return redis.call('HMGET', key, unpack(fields))
  end
  local values = {}
  in_chunks(fields, function(...)
    for _, value in ipairs(redis.call('HMGET', key, ...)) do
      values[#values + 1] = value
    end
  end)
  return values
end

local NO_WITNESS = string.rep('0', 64)

-- A row of the witness: where it is, and which character of it is meant.
local function witness_place(text)
  local name, place = string.match(text, '^(.*) (%d+)$')
  return name, tonumber(place)
end

local function witness_row(place, name)
  if place == '' then
    return redis.call('GET', name) or NO_WITNESS
  end
  return redis.call('TYPE', place).ok == 'hash' and redis.call('HGET', place, name) or NO_WITNESS
end

-- The key, or the field of a hash, that tells how many parts of a decision are deducted there, until all are:
-- of one of very many stocks, or of stocks in several hashes.
local function part_of(owner, member)
  return 'witness:' .. PREFIX .. owner .. ':part:' .. member
end

local function with_witness(row, place)
  return string.sub(row, 1, place - 1) .. '1' .. string.sub(row, place + 1)
end

local function is_set(row, place)
  return string.sub(row, place, place) == '1'
end

local function is_witnessed()
  local name, place = witness_place(ARGV[6])
  return is_set(witness_row(WITNESS_IN, name), place)
end

-- Units by stock that a branch holds, and the place that they are held in.
local function units_held(holds)
  local kept = redis.call('HMGET', holds, 'held', 'place')
  return kept[1] and cjson.decode(kept[1]) or {}, kept[2] or ''
end

local function held_of(place)
  return place == '' and PREFIX .. 'held' or PREFIX .. 'held:' .. place
end

local function debt_of(place)
  return place == '' and PREFIX .. 'debt' or PREFIX .. 'debt:' .. place
end

-- All that the branch holds, and the sums that it is part of: read before the first write.
local function read_holds()
  local units, place = units_held(HOLDS)
  local stocks = {}
  for stock in pairs(units) do
    stocks[#stocks + 1] = stock
  end
  return {units = units, stocks = stocks, key = held_of(place), sums = hash_values(held_of(place), stocks)}
end

-- Gives it back. Between begin and done.
local function release_holds(holds)
  local kept, gone = {}, {}
  for i, stock in ipairs(holds.stocks) do
    local rest = tonumber(holds.sums[i] or '0') - holds.units[stock]
    if rest > 0 then
      kept[#kept + 1] = stock
      kept[#kept + 1] = digits(rest)
    else
      gone[#gone + 1] = stock
    end
  end
  in_chunks(kept, function(...) redis.call('HSET', holds.key, ...) end)
  in_chunks(gone, function(...) redis.call('HDEL', holds.key, ...) end)
  redis.call('ZREM', PREPARED, BRANCH)
  redis.call('DEL', HOLDS)
end

local function all_changes()
  return redis.call('HGET', STORE, 'changes') or '0'
end

-- Around the writes of a script.
local function begin()
  redis.call('SET', BUSY, BRANCH .. '=' .. (WITNESS_IN == PLACE and '1' or '0') .. '=' .. PLACE)
end

local function done()
  redis.call('DEL', BUSY)
end

-- Remembers a commit whose deduction the witness shows, and what of it is owed. `owed` has rows as
-- commit.lua answers them, with what is owed in all behind: so it can be repeated.
local function remember_commit(committed, coordinator, member, place, owed)
  redis.call('ZADD', committed, 0, member)
  redis.call('HSET', coordinator, 'remembered', redis.call('ZCARD', committed))
  for _, row in ipairs(owed) do
    if row[5] then
      redis.call('HSET', debt_of(place), row[1], row[5])
    end
  end
end

-- Sums of what is held in a place, made anew from the branches that are prepared.
local function count_held_again(place)
  local sums = {}
  for _, branch in ipairs(redis.call('ZRANGE', PREPARED, 0, -1)) do
    local units, held_in = units_held(PREFIX .. 'tx:' .. branch)
    if held_in == place then
      for stock, held in pairs(units) do
        sums[stock] = (sums[stock] or 0) + held
      end
    end
  end
  local flat = {}
  for stock, held in pairs(sums) do
    flat[#flat + 1] = stock
    flat[#flat + 1] = digits(held)
  end
  redis.call('DEL', held_of(place))
  in_chunks(flat, function(...) redis.call('HSET', held_of(place), ...) end)
end

-- Brings to its end what a script of any branch left half done: it failed in its middle, or a torn file
-- brought back its beginning. Every step may be repeated. What counts is what the one command wrote:
-- the witness of a deduction, the memory of a roll back, and of a promise its name in `prepared`.
local function finish_interrupted()
  local busy = redis.call('GET', BUSY)
  if not busy then
    return
  end
  local branch, is_inside, place = string.match(busy, '^([^=]+)=([01])=(.*)$')
  local coordinator, epoch, sequence, participant =
    string.match(branch, '^([^.]+)%.(%d+)%.(%d+)/(.+)$')
  local owner = coordinator .. ':' .. participant
  local function of(kind)
    return PREFIX .. kind .. ':' .. owner
  end
  local member = string.char(96 + #epoch) .. epoch .. '.' .. string.char(96 + #sequence) .. sequence
  local row = 'witness:' .. PREFIX .. owner .. ':' .. epoch .. '.'
    .. digits(math.floor(tonumber(sequence) / 64))
  local at = tonumber(sequence) % 64 + 1
  local witness_in = is_inside == '1' and place or ''
  local is_deducted = is_set(witness_row(witness_in, row), at)
  local is_committed = redis.call('ZSCORE', of('committed'), member)
  if is_deducted or is_committed then
    local json = redis.call('HGET', of('answers'), member)
    local owed = json and cjson.decode(json) or {}
    remember_commit(of('committed'), of('coordinator'), member, place, owed)
    redis.call('ZREM', of('released'), member)
  else
    redis.call('HSET', of('coordinator'), 'remembered', redis.call('ZCARD', of('committed')))
  end
  local has_ended = is_deducted or is_committed or redis.call('ZSCORE', of('released'), member)
  if has_ended then
    redis.call('ZREM', PREPARED, branch)
  end
  local hashes = is_deducted and redis.call('HGET', PREFIX .. 'tx:' .. branch, 'hashes')
  for _, key in ipairs(hashes and cjson.decode(hashes) or {}) do
    if redis.call('TYPE', key).ok == 'hash' then
      redis.call('HDEL', key, part_of(owner, member))
    end
  end
  if has_ended or not redis.call('ZSCORE', PREPARED, branch) then
    redis.call('DEL', PREFIX .. 'tx:' .. branch)
  end
  if is_deducted and witness_in == '' then
    redis.call('DEL', part_of(owner, member))
  elseif is_deducted then
    redis.call('HDEL', witness_in, part_of(owner, member))
  end
  count_held_again(place)
  redis.call('DEL', BUSY)
end
