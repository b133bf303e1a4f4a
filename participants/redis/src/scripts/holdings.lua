-- Tells what is held and owed in a place, seen at one moment; changes nothing.
--
-- KEYS 1 held, 2 prepared, 3 debt, 4 busy (common.lua). The holds of each prepared branch are read too:
--   which they are is known only here, and they are in the same slot.
-- ARGV 1 what their names begin with, 2 how many prepared branches are looked at at most
-- Answers
--   {"TOO_MANY", how many are prepared}
--   {"BUSY", branch}  a script was stopped half way, and what is held is counted again by the next
--   {"HOLDINGS", held, debts, branches, {held, place} of each}  held and debts with stock and units in
--     turn

local busy = redis.call('GET', KEYS[4])
if busy then
  return {'BUSY', busy}
end
local prepared = redis.call('ZCARD', KEYS[2])
if prepared > tonumber(ARGV[2]) then
  return {'TOO_MANY', prepared}
end
local branches = redis.call('ZRANGE', KEYS[2], 0, -1)
local holds = {}
for i, branch in ipairs(branches) do
  holds[i] = redis.call('HMGET', ARGV[1] .. branch, 'held', 'place')
end
return {'HOLDINGS', redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3]), branches, holds}
