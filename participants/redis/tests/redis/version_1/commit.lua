-- Carries out a commit decision: deducts its units once and gives back all that was held.
--
-- Stock never goes below zero here. What is not there to deduct (the app took it meanwhile, or
-- the value is missing or unreadable) is added to the debt: deducted + debt = decided.
--
-- With IS_REPAIR it does so too where it was rolled back before: an operator has ordered it.
--
-- Runs with allow-oom: a decision must be carried out at the memory limit too.
--
-- KEYS, ARGV: common.lua and stock.lua; from ARGV[NEXT] on the units decided of each stock
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"RELEASED"}   rolled back before: a contradiction; nothing is changed
--   {"FORGOTTEN"}  no longer remembered, by the coordinator's own leave; nothing is changed
--   {"ALREADY", debts}  committed before, by the memory or, where that was lost, by the witness
--   {"APPLIED" | "REDONE", debts}  with debts = {{stock, units, problem, value}, ...},
--     where problem is SHORT (value is what was there) or one of stock.lua's

local refusal = refused_caller()
if refusal then
  return refusal
end
if redis.call('ZSCORE', COMMITTED, MEMBER) then
  if IS_REPAIR then
    -- Nothing of it is held any more; what somebody has left under its name is nobody's.
    release_holds()
  end
  return {'ALREADY', remembered_answer()}
end
if redis.call('ZSCORE', RELEASED, MEMBER) and not IS_REPAIR then
  return {'RELEASED'}
end
local is_prepared = redis.call('ZSCORE', PREPARED, TRANSACTION)
local row_name, place = witness_place(MEMBER)
local row = redis.call('HGET', WITNESS, row_name) or NO_WITNESS
if string.sub(row, place, place) == '1' then
  -- Only the memory was lost. The stock has the deduction.
  release_holds()
  redis.call('ZADD', COMMITTED, ORDER, MEMBER)
  redis.call('ZREM', RELEASED, MEMBER)
  redis.call('HINCRBY', COORDINATOR, 'remembered', 1)
  return {'ALREADY', remembered_answer()}
end
if not is_prepared and is_forgotten() then
  return {'FORGOTTEN'}
end

-- A key of tandem's that someone made another type must fail here, before the first write.
for _, key in ipairs({HELD, HOLDS, DEBT, ANSWERS}) do
  redis.call('HLEN', key)
end
local values, problems = read_stock()
local debts = {}
for i, stock in ipairs(STOCKS) do
  local units = tonumber(ARGV[NEXT + i - 1])
  local there = math.min(units, math.max(values[i] or 0, 0))
  if there > 0 and IS_HASH then
    redis.call('HINCRBY', KEYS[12], stock, digits(-there))
  elseif there > 0 then
    redis.call('DECRBY', stock, digits(there))
  end
  if there < units then
    local problem = problems[i] or 'SHORT'
    debts[#debts + 1] = {stock, digits(units - there), problem, values[i] and digits(values[i]) or ''}
    redis.call('HINCRBY', DEBT, stock, digits(units - there))
  end
end

release_holds()
redis.call('ZADD', COMMITTED, ORDER, MEMBER)
redis.call('HINCRBY', COORDINATOR, 'remembered', 1)
redis.call('HSET', WITNESS, row_name, with_witness(row, place, '1'))
if IS_REPAIR then
  redis.call('ZREM', RELEASED, MEMBER)
end
if #debts > 0 then
  redis.call('HSET', ANSWERS, MEMBER, cjson.encode(debts))
else
  redis.call('HDEL', ANSWERS, MEMBER)
end
return {is_prepared and 'APPLIED' or 'REDONE', debts}
