-- The tops of many channels. KEYS: log and meta of each. ARGV: nonce, then
-- the age of each. Replies epoch and top of each.
local rid = replication()
local time = now()
local tops = {}
for i = 1, #KEYS, 2 do
  local c = {log = KEYS[i], meta = KEYS[i + 1], nonce = ARGV[1], age = tonumber(ARGV[(i + 3) / 2])}
  local id = identity(c, rid)
  keep(c, id, time)
  push(tops, id.epoch, whole(id.top))
end
return tops
