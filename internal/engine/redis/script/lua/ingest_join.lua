-- Makes the group of an ingested stream where there is none, and forgets
-- consumers that are long gone and under whose name nothing waits. A new group
-- starts with the entries that are there already.
-- KEYS: stream. ARGV: group, node, ms after which a consumer is gone.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(made) == 'table' and made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
-- Without XINFO the names of dead nodes stay.
for _, fields in ipairs(redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local c = {}
  for i = 1, #fields, 2 do c[fields[i]] = fields[i + 1] end
  if c.name ~= ARGV[2] and c.pending == 0 and c.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c.name)
  end
end
return 1
