-- Carries out a commit decision: deducts its units once and gives back all that was held.
--
-- Stock never goes below zero here. What is not there to deduct (the app took it meanwhile, or
-- the value is missing or unreadable) is added to the debt: deducted + debt = decided.
--
-- Stock, the count of what was deducted of it (debt included) and the witness are written by one
-- command, in absolute values: in every beginning of this script, and in every replay of one, the sum of
-- stock and count is changed by the app alone. A decision of more stocks than one command takes is
-- written in parts, each with its number, so that a part is not written twice.
--
-- Where tandem's fields are kept out of a stock hash, nothing is counted and the witness is written behind
-- the stock: a script that is stopped between them deducts again. The settings have accepted that by name.
--
-- With IS_REPAIR it does so too where it was rolled back before: an operator has ordered it.
--
-- Runs with allow-oom: a decision must be carried out at the memory limit too.
--
-- KEYS, ARGV: common.lua and stock.lua; the last n KEYS are the counts of the n stocks (with a stock
--   hash: the last n of ARGV, fields of it); from ARGV[NEXT] on the units decided of each stock
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"RELEASED"}   rolled back before: a contradiction; nothing is changed
--   {"FORGOTTEN"}  no longer remembered, by the coordinator's own leave; nothing is changed
--   {"ALREADY", changes, debts}  committed before, by the memory or, where that was lost, by the witness
--   {"APPLIED" | "REDONE", changes, debts}  with debts = {{stock, units, problem, value, owed in
--     all}, ...}, where problem is SHORT (value is what was there) or one of stock.lua's

local refusal = refused_caller()
if refusal then
  return refusal
end
finish_interrupted()

local is_prepared = redis.call('ZSCORE', PREPARED, BRANCH)
local is_remembered = redis.call('ZSCORE', COMMITTED, MEMBER)
if is_remembered or is_witnessed() then
  if not is_remembered or is_prepared or redis.call('EXISTS', HOLDS) == 1 then
    -- Only the memory was lost: the stock has the deduction. And nothing of it is held any more: what
    -- somebody has left under its name is nobody's.
    begin()
    release_holds()
    remember_commit(COMMITTED, RELEASED, COORDINATOR, MEMBER, PLACE, {})
    done()
  end
  return {'ALREADY', all_changes(), remembered_answer()}
end
if redis.call('ZSCORE', RELEASED, MEMBER) and not IS_REPAIR then
  return {'RELEASED'}
end
if not is_prepared and is_forgotten(MEMBER) then
  return {'FORGOTTEN'}
end

-- A key of tandem's that someone made another type must fail here, before the first write.
for _, key in ipairs({HELD, HOLDS, DEBT, ANSWERS}) do
  redis.call('HLEN', key)
end
local COUNTS = {}
for i = 1, COUNT do
  COUNTS[i] = IS_HASH and ARGV[NEXT + COUNT + i - 1] or KEYS[12 + COUNT + i]
end
local values, problems = read_stock()
-- Where the stock hash is missing, or something else has its name, nothing is written there: all is owed,
-- and only the memory tells of the commit.
local is_kept = not IS_HASH or type_of(PLACE) == 'hash'
local is_counted = WITNESS_IN == PLACE
local counts = {}
if not IS_HASH then
  counts = key_values(COUNTS)
elseif is_kept and is_counted then
  counts = hash_values(PLACE, COUNTS)
end

local name, place = witness_place(ARGV[6])
local row = witness_row(WITNESS_IN, name)
local part = 'witness:' .. PREFIX .. OWNER .. ':part:' .. MEMBER
local parts_done = 0
if is_kept and is_counted and COUNT * 4 > WORDS then
  local text = IS_HASH and redis.call('HGET', PLACE, part) or not IS_HASH and redis.call('GET', part)
  parts_done = tonumber(text or '0')
end

-- Four words for each stock, so that no part ends between a stock and its count. Where nothing can be
-- deducted the count stands twice, and its last value counts.
local words, expiries, debts = {}, {}, {}
for i, stock in ipairs(STOCKS) do
  local units = tonumber(ARGV[NEXT + i - 1])
  local there = math.min(units, math.max(values[i] or 0, 0))
  if is_counted then
    words[#words + 1] = there > 0 and stock or COUNTS[i]
    words[#words + 1] = there > 0 and digits(values[i] - there) or '0'
    words[#words + 1] = COUNTS[i]
    words[#words + 1] = digits((tonumber(counts[i] or '0') or 0) + units)
  elseif there > 0 then
    words[#words + 1] = stock
    words[#words + 1] = digits(values[i] - there)
  end
  if there < units then
    local owed = digits(tonumber(redis.call('HGET', DEBT, stock) or '0') + units - there)
    debts[#debts + 1] = {stock, digits(units - there), problems[i] or 'SHORT',
      values[i] and digits(values[i]) or '', owed}
  end
  if there > 0 and not IS_HASH then
    local expiry = redis.call('PEXPIRETIME', stock)
    if expiry > 0 then
      expiries[#expiries + 1] = {stock, digits(expiry)}
    end
  end
end

local function write(...)
  if IS_HASH then
    redis.call('HSET', PLACE, ...)
  else
    redis.call('MSET', ...)
  end
end

begin()
if #debts > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(debts))
else
  redis.call('HDEL', ANSWERS, MEMBER)
end
if not is_counted then
  -- Where there is no stock there are no words.
  in_chunks(words, write)
  redis.call('SET', name, with_witness(row, place, '1'))
elseif is_kept and #words <= WORDS then
  words[#words + 1] = name
  words[#words + 1] = with_witness(row, place, '1')
  write(unpack(words))
elseif is_kept then
  local parts = math.ceil(#words / WORDS)
  for number = parts_done + 1, parts do
    local first, last = (number - 1) * WORDS + 1, math.min(number * WORDS, #words)
    local chunk = {unpack(words, first, last)}
    chunk[#chunk + 1] = number < parts and part or name
    chunk[#chunk + 1] = number < parts and digits(number) or with_witness(row, place, '1')
    write(unpack(chunk))
  end
  if IS_HASH then
    redis.call('HDEL', PLACE, part)
  else
    redis.call('DEL', part)
  end
end
for _, expiry in ipairs(expiries) do
  redis.call('PEXPIREAT', expiry[1], expiry[2])
end
remember_commit(COMMITTED, RELEASED, COORDINATOR, MEMBER, PLACE, debts)
release_holds()
local changes = redis.call('HINCRBY', STORE, 'changes', 1)
done()
return {is_prepared and 'APPLIED' or 'REDONE', digits(changes), debts}
