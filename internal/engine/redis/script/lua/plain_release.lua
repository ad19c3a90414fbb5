-- Gives a channel's lease back. KEYS: lease. ARGV: live, node.
local holder = redis.call('GET', KEYS[1])
if not holder or string.sub(holder, 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then return 0 end
redis.call('DEL', KEYS[1])
redis.call(PUBLISH, ARGV[1], 'r1 ' .. ARGV[2])
return 1
