-- Carries out a commit decision: deducts its units once and gives back all that was held.
--
-- Stock never goes below zero here. What is not there to deduct (the app took it meanwhile, or
-- the value is missing or unreadable) is added to the debt: deducted + debt = decided.
--
-- Stock, the count of what was deducted of it (debt included) and the witness are written by one
-- command, in absolute values: in every beginning of this script, and in every replay of one, the sum of
-- stock and count is changed by the app alone. A decision of more stocks than one command takes is
-- written in parts, each with its number, so that a part is not written twice: who goes on finds what the
-- parts before it owe in the answer, which is written before them.
--
-- Where tandem's fields are kept out of a stock hash, nothing is counted and the witness is written behind
-- the stock: a script that is stopped between them deducts again. The settings have accepted that by name.
--
-- With IS_REPAIR it does so too where it was rolled back before: an operator has ordered it.
--
-- Runs with allow-oom: a decision must be carried out at the memory limit too.
--
-- KEYS, ARGV: common.lua and stock.lua; the last n KEYS are the counts of the n stocks (with a stock
--   hash: ARGV behind its n fields); the last of ARGV are the units decided of each stock, as a JSON array
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
local name, place = witness_place(ARGV[6])
local row = witness_row(WITNESS_IN, name)
if is_remembered or is_set(row, place) then
  if not is_remembered or is_prepared or redis.call('EXISTS', HOLDS) == 1 then
    -- Only the memory was lost: the stock has the deduction. And nothing of it is held any more: what
    -- somebody has left under its name is nobody's.
    local held = read_holds()
    begin()
    remember_commit(COMMITTED, COORDINATOR, MEMBER, PLACE, {})
    redis.call('ZREM', RELEASED, MEMBER)
    release_holds(held)
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
local held = read_holds()
local answer = redis.call('HGET', ANSWERS, MEMBER)
redis.call('HLEN', DEBT)

-- Where the stock hash is missing, or something else has its name, nothing is written there: all is owed,
-- and only the memory tells of the commit.
local is_kept = not IS_HASH or type_of(PLACE) == 'hash'
local is_counted = WITNESS_IN == PLACE
local texts = read_texts(is_counted and 2 * COUNT or COUNT)
local values, problems = read_stock(texts)
local units = cjson.decode(ARGV[#ARGV])

-- Stocks that one command takes: four words each, so that no part ends between a stock and its count.
local PART = WORDS / 4
local part = part_of(OWNER, MEMBER)
local parts, parts_done = math.max(math.ceil(COUNT / PART), 1), 0
if is_kept and is_counted and parts > 1 then
  local text = IS_HASH and redis.call('HGET', PLACE, part) or not IS_HASH and redis.call('GET', part)
  parts_done = tonumber(text or '0')
end

local function owed(stock, units)
  return digits(tonumber(redis.call('HGET', DEBT, stock) or '0') + units)
end

-- What is owed of the stocks of the parts that are written already.
local debts, is_done = {}, {}
for i = 1, parts_done * PART do
  is_done[STOCKS[i]] = true
end
for _, debt in ipairs(parts_done > 0 and answer and cjson.decode(answer) or {}) do
  if is_done[debt[1]] then
    debt[5] = owed(debt[1], tonumber(debt[2]))
    debts[#debts + 1] = debt
  end
end

-- What one command writes for these stocks. Where nothing can be deducted the count stands twice, and its
-- last value counts.
local function words_of(first, last)
  local words = {}
  for i = first, last do
    local stock, value, wanted = STOCKS[i], values[i] or 0, units[i]
    local there = value >= wanted and wanted or math.max(value, 0)
    local at = #words
    if is_counted then
      local count = IS_HASH and ARGV[9 + COUNT + i] or KEYS[12 + COUNT + i]
      words[at + 1] = there > 0 and stock or count
      words[at + 2] = there > 0 and digits(value - there) or '0'
      words[at + 3] = count
      words[at + 4] = digits((tonumber(texts[COUNT + i] or '0') or 0) + wanted)
    elseif there > 0 then
      words[at + 1] = stock
      words[at + 2] = digits(value - there)
    end
    if there < wanted then
      debts[#debts + 1] = {stock, digits(wanted - there), problems[i] or 'SHORT',
        values[i] and digits(value) or '', owed(stock, wanted - there)}
    end
  end
  return words
end

-- When the time to live of these stocks ends, negative for those that have none: writing a value takes it
-- away.
local function expiries_of(first, last)
  local expiries = {}
  if IS_HASH and is_kept and HAVE_FIELDS_EXPIRIES and last >= first then
    return redis.call('HPEXPIRETIME', PLACE, 'FIELDS', last - first + 1, unpack(STOCKS, first, last))
  end
  for i = first, IS_HASH and 0 or last do
    expiries[i - first + 1] = redis.call('PEXPIRETIME', STOCKS[i])
  end
  return expiries
end

local function set_expiry(stock, expiry)
  if IS_HASH then
    redis.call('HPEXPIREAT', PLACE, digits(expiry), 'FIELDS', 1, stock)
  else
    redis.call('PEXPIREAT', stock, digits(expiry))
  end
end

local words, expiries = {}, {}
for number = parts_done + 1, parts do
  local first, last = (number - 1) * PART + 1, math.min(number * PART, COUNT)
  words[number] = words_of(first, last)
  expiries[number] = expiries_of(first, last)
end

begin()
if #debts > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(debts))
elseif answer then
  redis.call('HDEL', ANSWERS, MEMBER)
end
for number = parts_done + 1, is_kept and parts or 0 do
  local of_part = words[number]
  if is_counted then
    of_part[#of_part + 1] = number < parts and part or name
    of_part[#of_part + 1] = number < parts and digits(number) or with_witness(row, place)
  end
  if IS_HASH and #of_part > 0 then
    redis.call('HSET', PLACE, unpack(of_part))
  elseif not IS_HASH then
    redis.call('MSET', unpack(of_part))
  end
  for i, expiry in ipairs(expiries[number]) do
    if expiry > 0 then
      set_expiry(STOCKS[(number - 1) * PART + i], expiry)
    end
  end
end
if not is_counted then
  redis.call('SET', name, with_witness(row, place))
elseif is_kept and parts > 1 and IS_HASH then
  redis.call('HDEL', PLACE, part)
elseif is_kept and parts > 1 then
  redis.call('DEL', part)
end
remember_commit(COMMITTED, COORDINATOR, MEMBER, PLACE, debts)
if IS_REPAIR then
  redis.call('ZREM', RELEASED, MEMBER)
end
release_holds(held)
local changes = redis.call('HINCRBY', STORE, 'changes', 1)
done()
return {is_prepared and 'APPLIED' or 'REDONE', digits(changes), debts}
