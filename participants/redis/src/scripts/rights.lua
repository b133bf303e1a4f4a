-- Which commands, sent as they are and not from a script, the user may not run. Runs none of them.
--
-- ARGV commands, each with its arguments behind it, separated by spaces
-- Answers {"ASKED", those that are refused or not known}

local refused = {'ASKED'}
for _, command in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(command, '%S+') do
    words[#words + 1] = word
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if not (known and allowed) then
    refused[#refused + 1] = command
  end
end
return refused
