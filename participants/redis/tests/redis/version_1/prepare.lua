-- Holds the units of each entry, or refuses the entry; an entry is held whole or not at all.
--
-- Runs without allow-oom: at the memory limit new promises are refused before the first write.
--
-- KEYS, ARGV: common.lua and stock.lua; from ARGV[NEXT] on for each entry: its number, how many
--   items, and for each item the number of its stock (from 1) and the units wanted
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"NO", "COMMITTED" | "RELEASED" | "FORGOTTEN"}
--   {"VOTE", incarnation, refused}  with refused = {{entry, problem, stock, units}, ...}, where
--     problem is INSUFFICIENT or one of stock.lua's; units is what is available, else empty

local refusal = refused_caller()
if refusal then
  return refusal
end

local life = incarnation()
if not life then
  return {'LOST'}
end

-- Memory first, stock second: a repeat gets the first answer whatever the stock is now.
if redis.call('ZSCORE', COMMITTED, MEMBER) then
  return {'NO', 'COMMITTED'}
end
local released = redis.call('ZSCORE', RELEASED, MEMBER)
local answer = remembered_answer()
if released and #answer == 0 then
  return {'NO', 'RELEASED'}
end
if released or redis.call('ZSCORE', PREPARED, TRANSACTION) then
  return {'VOTE', life, answer}
end
if is_forgotten() then
  return {'NO', 'FORGOTTEN'}
end

local values, problems = read_stock()
local sums = hash_values(HELD, STOCKS)
local holds, refused = {}, {}
for i = 1, COUNT do
  sums[i] = tonumber(sums[i] or '0')
end

local at = NEXT
local is_held = false
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
      holds[stock] = (holds[stock] or 0) + units
    end
    is_held = true
  end
  at = at + 2 + 2 * items
end

if #refused > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(refused))
end
if is_held then
  local held, own = {}, {}
  for i, stock in ipairs(STOCKS) do
    if holds[i] then
      held[#held + 1] = stock
      held[#held + 1] = digits(sums[i])
      own[#own + 1] = stock
      own[#own + 1] = digits(holds[i])
    end
  end
  in_chunks(held, function(...) redis.call('HSET', HELD, ...) end)
  in_chunks(own, function(...) redis.call('HSET', HOLDS, ...) end)
  local time = redis.call('TIME')
  redis.call('ZADD', PREPARED, digits(time[1] * 1000000 + time[2]), TRANSACTION)
else
  -- Remembered, so that a late repeat does not hold units that nobody would release.
  redis.call('ZADD', RELEASED, ORDER, MEMBER)
end
return {'VOTE', life, refused}
