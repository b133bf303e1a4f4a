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
-- Stocks in several hashes no one command changes. Each hash gets a mark of the transaction by the command
-- that changes its stock and count; when all have theirs the witness is written, and the marks go. Whoever
-- goes on passes over what is marked, whatever came between: so what is written once is not written twice.
--
-- Where tandem's fields are kept out of a stock hash, nothing is counted and the witness is written behind
-- the stock: a script that is stopped between them deducts again. The settings have accepted that by name.
--
-- With IS_REPAIR it does so too where it was rolled back before: an operator has ordered it.
--
-- Runs with allow-oom: a decision must be carried out at the memory limit too.
--
-- KEYS, ARGV: common.lua and stock.lua; the last n KEYS are the counts of the n stocks (with hashes: ARGV
--   behind the n fields); the last two of ARGV are whether there are counts (1 or 0), and the units decided of
--   each stock, as a JSON array
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

local is_counted = ARGV[#ARGV - 1] == '1'
local part = part_of(OWNER, MEMBER)
local texts = read_texts(is_counted and 2 * COUNT or COUNT, part)
local values, problems = read_stock(texts)
local units = cjson.decode(ARGV[#ARGV])

-- Stocks that one command takes: four words each, so that no part ends between a stock and its count.
local PART = WORDS / 4
-- Whether the last part has a mark too, and not the witness.
local is_last_marked = KIND == 'hashes'

-- Where a hash is missing, or something else has its name, nothing is written there: all of it is owed and,
-- with a stock hash, only the memory tells of the commit. A hash of many has a mark at its last part too.
local is_done = {}
for _, group in ipairs(GROUPS) do
  group.is_kept = not ARE_FIELDS or group.type == 'hash'
  group.parts, group.done = math.max(math.ceil(#group.numbers / PART), 1), 0
  group.is_marked = group.is_kept and (is_last_marked or is_counted and group.parts > 1)
  if group.is_marked then
    local text = group.mark
    if KIND == 'hash' then
      text = redis.call('HGET', group.key, part)
    elseif KIND == 'key' then
      text = redis.call('GET', part)
    end
    group.done = tonumber(text or '0')
  end
  for at = 1, math.min(group.done * PART, #group.numbers) do
    is_done[STOCKS[group.numbers[at]]] = true
  end
end

local function owed(stock, units)
  return digits(tonumber(redis.call('HGET', DEBT, stock) or '0') + units)
end

-- What is owed of the stocks of the parts that are written already.
local debts = {}
for _, debt in ipairs(next(is_done) and answer and cjson.decode(answer) or {}) do
  if is_done[debt[1]] then
    debt[5] = owed(debt[1], tonumber(debt[2]))
    debts[#debts + 1] = debt
  end
end

-- What one command writes for these stocks. Where nothing can be deducted the count stands twice, and its
-- last value counts.
local function words_of(numbers)
  local words = {}
  for _, i in ipairs(numbers) do
    local stock, value, wanted = STOCKS[i], values[i] or 0, units[i]
    local name = ARE_FIELDS and ARGV[10 + i] or stock
    local there = value >= wanted and wanted or math.max(value, 0)
    local at = #words
    if is_counted then
      local count = ARE_FIELDS and ARGV[10 + COUNT + i] or KEYS[12 + COUNT + i]
      words[at + 1] = there > 0 and name or count
      words[at + 2] = there > 0 and digits(value - there) or '0'
      words[at + 3] = count
      words[at + 4] = digits((tonumber(texts[COUNT + i] or '0') or 0) + wanted)
    elseif there > 0 then
      words[at + 1] = name
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
local function expiries_of(group, numbers)
  local expiries, fields = {}, {}
  for at, i in ipairs(numbers) do
    if ARE_FIELDS then
      fields[at] = ARGV[10 + i]
    else
      expiries[at] = redis.call('PEXPIRETIME', STOCKS[i])
    end
  end
  if #fields > 0 and group.is_kept and HAVE_FIELDS_EXPIRIES then
    return redis.call('HPEXPIRETIME', group.key, 'FIELDS', #fields, unpack(fields))
  end
  return expiries
end

local function set_expiry(group, i, expiry)
  if ARE_FIELDS then
    redis.call('HPEXPIREAT', group.key, digits(expiry), 'FIELDS', 1, ARGV[10 + i])
  else
    redis.call('PEXPIREAT', STOCKS[i], digits(expiry))
  end
end

-- All that is to be written, known before the first write.
local writes, hashes = {}, {}
for _, group in ipairs(GROUPS) do
  hashes[#hashes + 1] = group.key
  for number = group.done + 1, group.parts do
    local numbers = {unpack(group.numbers, (number - 1) * PART + 1,
      math.min(number * PART, #group.numbers))}
    local words = words_of(numbers)
    if is_last_marked or is_counted and number < group.parts then
      words[#words + 1] = part
      words[#words + 1] = digits(number)
    elseif is_counted then
      words[#words + 1] = name
      words[#words + 1] = with_witness(row, place)
    end
    if group.is_kept then
      writes[#writes + 1] = {group = group, numbers = numbers, words = words,
        expiries = expiries_of(group, numbers)}
    end
  end
end

begin()
if #debts > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(debts))
elseif answer then
  redis.call('HDEL', ANSWERS, MEMBER)
end
if is_last_marked and #hashes > 0 then
  redis.call('HSET', HOLDS, 'hashes', cjson.encode(hashes))
end
for _, write in ipairs(writes) do
  if #write.words > 0 and ARE_FIELDS then
    redis.call('HSET', write.group.key, unpack(write.words))
  elseif #write.words > 0 then
    redis.call('MSET', unpack(write.words))
  end
  for at, expiry in ipairs(write.expiries) do
    if expiry > 0 then
      set_expiry(write.group, write.numbers[at], expiry)
    end
  end
end
if is_last_marked or not is_counted then
  redis.call('SET', name, with_witness(row, place))
end
for _, group in ipairs(GROUPS) do
  if group.is_marked and ARE_FIELDS then
    redis.call('HDEL', group.key, part)
  elseif group.is_marked then
    redis.call('DEL', part)
  end
end
remember_commit(COMMITTED, COORDINATOR, MEMBER, PLACE, debts)
if IS_REPAIR then
  redis.call('ZREM', RELEASED, MEMBER)
end
release_holds(held)
local changes = redis.call('HINCRBY', STORE, 'changes', 1)
done()
return {is_prepared and 'APPLIED' or 'REDONE', digits(changes), debts}
