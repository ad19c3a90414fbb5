-- Gives a channel's lease back. KEYS: lease, meta. ARGV: live, node, and '1' when
-- the node has missed something: then who has the oldest entry comes next
-- (plain_take.lua).
local holder = redis.call('GET', KEYS[1])
local token = redis.call('HGET', KEYS[2], 'p') or ''
local held = holder and string.sub(holder, 1, #ARGV[2] + 1) == ARGV[2] .. ' '
-- A tenure of this node that ran out, and nobody came.
local lapsed = not holder and string.sub(token, 1, 9) == string.sub(ARGV[2], -8) .. '.'
if not held and not lapsed then return 0 end
redis.call('HDEL', KEYS[2], 'p')
if ARGV[3] == '1' then
  redis.call('SET', KEYS[1], '-', 'PX', 700)
elseif held then
  redis.call('DEL', KEYS[1])
end
redis.call(PUBLISH, ARGV[1], 'r1 ' .. ARGV[2])
return 1
