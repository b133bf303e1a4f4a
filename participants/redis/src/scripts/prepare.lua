-- Holds the units of each entry, or refuses the entry; an entry is held whole or not at all.
--
-- Runs without allow-oom: at the memory limit new promises are refused before the first write.
--
-- KEYS, ARGV: common.lua and stock.lua; from ARGV[NEXT] on
--   the life of the store that the caller has enlisted in, or nothing if it can't know
--   the highest number of changes that the store has told it
--   all participants of the transaction
--   units wanted by all entries, and by each, as holds has them
--   members of the commits that the store has acknowledged last
-- Answers
--   {"FENCED", epoch} | {"LOST"}  LOST too where the store lives another life or does not know what it
--     has acknowledged: it was restored, promoted or put back in time
--   {"NO", "COMMITTED" | "RELEASED" | "FORGOTTEN"}
--   {"VOTE", life, changes, refused}  with refused = {{entry, problem, stock, units}, ...}, where
--     problem is INSUFFICIENT or one of stock.lua's; units is what is available, else empty

local refusal = refused_caller()
if refusal then
  return refusal
end

local known_life, known_changes, participants = ARGV[NEXT], tonumber(ARGV[NEXT + 1]), ARGV[NEXT + 2]
local held_text, entries_text = ARGV[NEXT + 3], ARGV[NEXT + 4]
local store = redis.call('HMGET', STORE, 'life', 'changes')
local life, changes = store[1], tonumber(store[2] or '0')
if not life or known_life ~= '' and known_life ~= life or changes < known_changes then
  return {'LOST'}
end
local committed = redis.call('ZMSCORE', COMMITTED, MEMBER, unpack(ARGV, NEXT + 5))
for i = 2, #committed do
  if not committed[i] and not is_forgotten(ARGV[NEXT + 3 + i]) then
    return {'LOST'}
  end
end
finish_interrupted()

-- Memory first, stock second: a repeat gets the first answer whatever the stock is now.
if redis.call('ZSCORE', COMMITTED, MEMBER) then
  return {'NO', 'COMMITTED'}
end
local released = redis.call('ZSCORE', RELEASED, MEMBER)
local is_prepared = redis.call('ZSCORE', PREPARED, BRANCH)
if released or is_prepared then
  local answer = remembered_answer()
  if released and #answer == 0 then
    return {'NO', 'RELEASED'}
  end
  return {'VOTE', life, digits(changes), answer}
end
if is_forgotten(MEMBER) or is_closed() then
  return {'NO', 'FORGOTTEN'}
end

local values, problems = read_stock(read_texts(COUNT))
local sums = hash_values(HELD, STOCKS)
for i = 1, COUNT do
  sums[i] = tonumber(sums[i] or '0')
end

-- Adds what is wanted of each stock to the sums, if all of it is there.
local function is_all_there(wanted)
  local after = {}
  for i = 1, COUNT do
    after[i] = sums[i] + (wanted[STOCKS[i]] or 0)
    if problems[i] or values[i] < after[i] then
      return false
    end
  end
  sums = after
  return true
end

-- What an entry lacks, if anything: of the stock that comes first, as it is said in the answer.
local function lacks(wanted, number_of)
  local first, problem
  for stock, units in pairs(wanted) do
    local i = number_of[stock]
    local found = problems[i] or values[i] - sums[i] < units and 'INSUFFICIENT'
    if found and (not first or i < first) then
      first, problem = i, found
    end
  end
  if first then
    local available = problem == 'INSUFFICIENT' and digits(values[first] - sums[first]) or ''
    return {problem, STOCKS[first], available}
  end
end

-- Decides entry by entry, in their order, and takes the refused ones out of `entries`. Gives the units that
-- are held of each stock, and the rows of those who are refused.
local function decide_singly(entries)
  local numbers, number_of, units, refused = {}, {}, {}, {}
  for entry in pairs(entries) do
    numbers[#numbers + 1] = tonumber(entry)
  end
  table.sort(numbers)
  for i, stock in ipairs(STOCKS) do
    number_of[stock] = i
  end
  for _, number in ipairs(numbers) do
    local entry = digits(number)
    local lack = lacks(entries[entry], number_of)
    if lack then
      refused[#refused + 1] = {entry, unpack(lack)}
      entries[entry] = nil
    else
      for stock, wanted in pairs(entries[entry]) do
        local i = number_of[stock]
        sums[i] = sums[i] + wanted
        units[stock] = (units[stock] or 0) + wanted
      end
    end
  end
  return units, refused
end

local units, refused = cjson.decode(held_text), {}
if not is_all_there(units) then
  local entries, parts = cjson.decode(entries_text), {}
  units, refused = decide_singly(entries)
  entries_text = cjson.encode(entries)
  for stock, held in pairs(units) do
    parts[#parts + 1] = cjson.encode(stock) .. ':' .. digits(held)
  end
  held_text = '{' .. table.concat(parts, ',') .. '}'
end
-- An entry that wants nothing of any stock is promised too, and its transaction is committed as any other.
if entries_text == '{}' then
  -- Remembered, so that a late repeat does not hold units that nobody would release.
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(refused))
  redis.call('ZADD', RELEASED, 0, MEMBER)
  return {'VOTE', life, digits(changes), refused}
end
local held = {}
for i = 1, COUNT do
  if units[STOCKS[i]] then
    held[#held + 1] = STOCKS[i]
    held[#held + 1] = digits(sums[i])
  end
end
local time = redis.call('TIME')
begin()
redis.call('HSET', HOLDS, 'held', held_text, 'entries', entries_text, 'place', PLACE,
  'participants', participants)
in_chunks(held, function(...) redis.call('HSET', HELD, ...) end)
if #refused > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(refused))
end
changes = redis.call('HINCRBY', STORE, 'changes', 1)
redis.call('ZADD', PREPARED, digits(time[1] * 1000000 + time[2]), BRANCH)
done()
return {'VOTE', life, digits(changes), refused}
