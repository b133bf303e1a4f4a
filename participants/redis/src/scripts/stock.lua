-- Put after common.lua in the scripts that read stock.
--
-- ARGV 9: how many stocks (n).
--   key   KEYS 13.. are the n stock keys
--   hash  ARGV 7 is the stock hash; ARGV 10.. are its n fields
-- What else a script is told starts at ARGV[NEXT].

local IS_HASH, COUNT = PLACE ~= '', tonumber(ARGV[9])
local NEXT = IS_HASH and 10 + COUNT or 10
local STOCKS = {}
for i = 1, COUNT do
  STOCKS[i] = IS_HASH and ARGV[9 + i] or KEYS[12 + i]
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

-- Texts of the stocks and of what is named behind them, so many in all; false where there is none.
local function read_texts(count)
  local texts = {}
  if IS_HASH and type_of(PLACE) ~= 'hash' then
    return texts
  end
  for first = 1, count, WORDS do
    local last = math.min(first + WORDS - 1, count)
    local found
    if IS_HASH then
      found = redis.call('HMGET', PLACE, unpack(ARGV, 9 + first, 9 + last))
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
  local hash_type = IS_HASH and type_of(PLACE)
  for i = 1, COUNT do
    if texts[i] then
      values[i], problems[i] = integer(texts[i])
    else
      -- MGET answers nothing for a key of another type too.
      local found = hash_type or type_of(STOCKS[i])
      problems[i] = (found == 'none' or found == 'hash' and IS_HASH) and 'MISSING' or 'WRONG_TYPE'
    end
  end
  return values, problems
end
