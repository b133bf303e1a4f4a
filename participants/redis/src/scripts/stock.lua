-- Put after common.lua in the scripts that read stock.
--
-- ARGV 9: how many stocks (n), 10: what they are
--   key     KEYS 13.. are the n stock keys
--   hash    ARGV 7 is the stock hash; ARGV 11.. are its n fields
--   hashes  KEYS 13.. are the hashes of the n stocks, one of them as often as it has some; ARGV 11.. are
--           their n fields
-- What else a script is told starts at ARGV[NEXT].

local COUNT, KIND = tonumber(ARGV[9]), ARGV[10]
local ARE_FIELDS = KIND ~= 'key'
local NEXT = ARE_FIELDS and 11 + COUNT or 11
-- Their names in the books (place.rs).
local STOCKS = {}
for i = 1, COUNT do
  if KIND == 'hashes' then
    STOCKS[i] = KEYS[12 + i] .. '#' .. ARGV[10 + i]
  else
    STOCKS[i] = ARE_FIELDS and ARGV[10 + i] or KEYS[12 + i]
  end
end

-- Doubles are exact below this only (2^53).
local LIMIT = 9007199254740992

local function type_of(key)
  return redis.call('TYPE', key).ok
end

-- The integer that a text is, in the one form that DECRBY takes too; else nil and why not.
local function integer(text)
  if text ~= '0' and not string.find(text, '^%-?[1-9]%d*$') then
    return nil, 'NOT_INTEGER'
  end
  local number = tonumber(text)
  if math.abs(number) >= LIMIT then
    return nil, 'TOO_LARGE'
  end
  return number
end

-- The hashes that the stocks are fields of, each once, with the numbers of its stocks and its type. Stocks
-- that are keys are together, as those of the stock hash are.
local function group_stocks()
  local groups, group_of = {}, {}
  for i = 1, COUNT do
    local key = KIND == 'hashes' and KEYS[12 + i] or PLACE
    local group = group_of[key]
    if not group then
      group = {key = key, numbers = {}}
      group_of[key] = group
      groups[#groups + 1] = group
    end
    group.numbers[#group.numbers + 1] = i
  end
  if KIND ~= 'hashes' and COUNT == 0 then
    groups[1] = {key = PLACE, numbers = {}}
  end
  for _, group in ipairs(groups) do
    group.type = ARE_FIELDS and type_of(group.key)
  end
  return groups
end

local GROUPS = group_stocks()

-- As read_texts, of hashes: how many are named in all is n or 2n. Reads the field `mark` of each too.
local function read_texts_of_hashes(count, mark)
  local texts = {}
  for _, group in ipairs(GROUPS) do
    local numbers, fields = {}, {}
    for behind = 0, count - 1, COUNT do
      for _, i in ipairs(group.numbers) do
        numbers[#numbers + 1] = behind + i
        fields[#fields + 1] = ARGV[10 + behind + i]
      end
    end
    fields[#fields + 1] = mark
    local found = group.type == 'hash' and hash_values(group.key, fields) or {}
    group.mark = mark and found[#fields]
    for at, number in ipairs(numbers) do
      texts[number] = found[at]
    end
  end
  return texts
end

-- Texts of the stocks and of what is named behind them, so many in all; false where there is none.
local function read_texts(count, mark)
  if KIND == 'hashes' then
    return read_texts_of_hashes(count, mark)
  end
  local texts = {}
  if ARE_FIELDS and GROUPS[1].type ~= 'hash' then
    return texts
  end
  for first = 1, count, WORDS do
    local last = math.min(first + WORDS - 1, count)
    local found
    if ARE_FIELDS then
      found = redis.call('HMGET', PLACE, unpack(ARGV, 10 + first, 10 + last))
    else
      found = redis.call('MGET', unpack(KEYS, 12 + first, 12 + last))
    end
    if count <= WORDS then
      return found
    end
    for i = first, last do
      texts[i] = found[i - first + 1]
    end
  end
  return texts
end

-- Two tables by the number of the stock, from its text: its value; why it has none
-- (MISSING, WRONG_TYPE, NOT_INTEGER, TOO_LARGE).
local function read_stock(texts)
  local values, problems = {}, {}
  for _, group in ipairs(GROUPS) do
    for _, i in ipairs(group.numbers) do
      if texts[i] then
        values[i], problems[i] = integer(texts[i])
      else
        -- MGET answers nothing for a key of another type too.
        local found = group.type or type_of(STOCKS[i])
        local is_missing = found == 'none' or found == 'hash' and ARE_FIELDS
        problems[i] = is_missing and 'MISSING' or 'WRONG_TYPE'
      end
    end
  end
  return values, problems
end
