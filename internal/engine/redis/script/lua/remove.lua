-- Deletes a log and begins a timeline that no old position is on.
-- KEYS: log, meta. ARGV: live, nonce, age.
local c = {log = KEYS[1], meta = KEYS[2], nonce = ARGV[2], age = tonumber(ARGV[3])}
local rid = replication()
local old = redis.call('HGET', c.meta, 'e')
local epoch = new_epoch(c, old, rid)
redis.call('HSET', c.meta, 'e', epoch, 'o', '0', 'r', rid, 'h', '', 'x', '0', 'k', whole(now()))
redis.call('HDEL', c.meta, 'b', 'g')
redis.call('PEXPIRE', c.meta, whole(c.age + week))
redis.call('DEL', c.log)
redis.call(PUBLISH, ARGV[1], 'x1 ' .. epoch)
return epoch
