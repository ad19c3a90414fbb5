-- Takes a channel's lease when it is free or this node's own.
-- KEYS: lease, meta. ARGV: live, node, token, lease ms.
-- Replies {1, last append's "TOKEN SEQ"} or {0, holder}. The fence goes out
-- in the same step: what was appended before it is seen before it.
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then return {0, holder} end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])
redis.call(PUBLISH, ARGV[1], 'f1 ' .. ARGV[2] .. ' ' .. ARGV[3])
return {1, redis.call('HGET', KEYS[2], 'p') or ''}
