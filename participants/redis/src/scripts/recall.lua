-- Tells which transactions are not remembered as committed; changes nothing.
--
-- KEYS 1 store, 2 coordinator, 3 committed, 4 busy (common.lua)
-- ARGV 1 the caller's epoch; from 2 on the member of each transaction, fewer than 8,000
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"RECALLED", floor or empty, numbers of those that are not remembered, from 0, life, changes}

local STORE, COORDINATOR, COMMITTED = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', COORDINATOR, 'epoch', 'remembered', 'floor')
if known[1] and tonumber(known[1]) > tonumber(ARGV[1]) then
  return {'FENCED', known[1]}
end
local store = redis.call('HMGET', STORE, 'life', 'changes')
-- A store that knows only an earlier epoch comes from an old copy. A count that is off by a script that
-- was stopped half way is put right by the next that writes.
if known[1] ~= ARGV[1] or not store[1] then
  return {'LOST'}
end
if tonumber(known[2] or '-1') ~= redis.call('ZCARD', COMMITTED)
  and redis.call('EXISTS', KEYS[4]) == 0 then
  return {'LOST'}
end
local forgotten = {}
if #ARGV > 1 then
  for i, score in ipairs(redis.call('ZMSCORE', COMMITTED, unpack(ARGV, 2))) do
    if not score then
      forgotten[#forgotten + 1] = i - 1
    end
  end
end
return {'RECALLED', known[3] or '', forgotten, store[1], store[2] or '0'}
