-- Tells which transactions are not remembered as committed; changes nothing.
--
-- KEYS 1 coordinator, 2 committed, 3 life (common.lua)
-- ARGV 1 the caller's epoch; from 2 on EPOCH.SEQUENCE of each transaction, fewer than 8,000
-- Answers
--   {"FENCED", epoch} | {"LOST"}
--   {"RECALLED", floor or empty, numbers of those that are not remembered, from 0, incarnation}

local COORDINATOR, COMMITTED = KEYS[1], KEYS[2]
local known = redis.call('HMGET', COORDINATOR, 'epoch', 'remembered', 'floor')
if known[1] and tonumber(known[1]) > tonumber(ARGV[1]) then
  return {'FENCED', known[1]}
end
-- A store that knows only an earlier epoch comes from an old copy.
if known[1] ~= ARGV[1] or tonumber(known[2] or '-1') ~= redis.call('ZCARD', COMMITTED) then
  return {'LOST'}
end
-- Nor has anybody enlisted since it was restarted or promoted.
local info = redis.pcall('INFO', 'replication')
local replid = type(info) == 'string' and string.match(info, 'master_replid:(%w+)')
local life = redis.call('HMGET', KEYS[3], 'replid', 'id')
if replid and life[1] ~= replid then
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
return {'RECALLED', known[3] or '', forgotten, replid and replid .. '.' .. life[2] or ''}
