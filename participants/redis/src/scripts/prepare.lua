-- Holds the units of each entry, or refuses the entry; an entry is held whole or not at all.
--
-- Runs without allow-oom: at the memory limit new promises are refused before the first write.
--
-- KEYS, ARGV: common.lua and stock.lua; from ARGV[NEXT] on
--   the life of the store that the caller has enlisted in, or nothing if it can't know
--   the highest number of changes that the store has told it
--   all participants of the transaction
--   how many commits the store has acknowledged last, and their members
--   for each entry: its number, how many items, and for each item the number of its stock (from 1)
--   and the units wanted
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

local at = NEXT
local known_life, known_changes, participants = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
local acknowledged = tonumber(ARGV[at + 3])
at = at + 4
local store = redis.call('HMGET', STORE, 'life', 'changes')
local life, changes = store[1], tonumber(store[2] or '0')
if not life or known_life ~= '' and known_life ~= life or changes < known_changes then
  return {'LOST'}
end
for _ = 1, acknowledged do
  if not redis.call('ZSCORE', COMMITTED, ARGV[at]) and not is_forgotten(ARGV[at]) then
    return {'LOST'}
  end
  at = at + 1
end
finish_interrupted()

-- Memory first, stock second: a repeat gets the first answer whatever the stock is now.
if redis.call('ZSCORE', COMMITTED, MEMBER) then
  return {'NO', 'COMMITTED'}
end
local released = redis.call('ZSCORE', RELEASED, MEMBER)
local answer = remembered_answer()
if released and #answer == 0 then
  return {'NO', 'RELEASED'}
end
if released or redis.call('ZSCORE', PREPARED, BRANCH) then
  return {'VOTE', life, digits(changes), answer}
end
if is_forgotten(MEMBER) or is_closed() then
  return {'NO', 'FORGOTTEN'}
end

local values, problems = read_stock()
local sums = hash_values(HELD, STOCKS)
local holds, own, refused = {}, {}, {}
for i = 1, COUNT do
  sums[i] = tonumber(sums[i] or '0')
end

while at <= #ARGV do
  local entry, items = ARGV[at], tonumber(ARGV[at + 1])
  local wanted, refusal = {}, nil
  for item = 1, items do
    local stock, units = tonumber(ARGV[at + 2 * item]), tonumber(ARGV[at + 2 * item + 1])
    wanted[stock] = (wanted[stock] or 0) + units
    if not refusal and problems[stock] then
      refusal = {entry, problems[stock], STOCKS[stock], ''}
    elseif not refusal and values[stock] - sums[stock] < wanted[stock] then
      refusal = {entry, 'INSUFFICIENT', STOCKS[stock], digits(values[stock] - sums[stock])}
    end
  end
  if refusal then
    refused[#refused + 1] = refusal
  else
    for stock, units in pairs(wanted) do
      sums[stock] = sums[stock] + units
      holds[stock] = true
      own[#own + 1] = entry .. ':' .. STOCKS[stock]
      own[#own + 1] = digits(units)
    end
  end
  at = at + 2 + 2 * items
end

if #own == 0 then
  -- Remembered, so that a late repeat does not hold units that nobody would release.
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(refused))
  redis.call('ZADD', RELEASED, 0, MEMBER)
  return {'VOTE', life, digits(changes), refused}
end
local held = {}
for i, stock in ipairs(STOCKS) do
  if holds[i] then
    held[#held + 1] = stock
    held[#held + 1] = digits(sums[i])
  end
end
local time = redis.call('TIME')
begin()
redis.call('HSET', HOLDS, '=participants', participants)
if PLACE ~= '' then
  redis.call('HSET', HOLDS, '=place', PLACE)
end
in_chunks(own, function(...) redis.call('HSET', HOLDS, ...) end)
in_chunks(held, function(...) redis.call('HSET', HELD, ...) end)
if #refused > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(refused))
end
changes = redis.call('HINCRBY', STORE, 'changes', 1)
redis.call('ZADD', PREPARED, digits(time[1] * 1000000 + time[2]), BRANCH)
done()
return {'VOTE', life, digits(changes), refused}
