-- One probe of a node. KEYS: life. ARGV: what life becomes where it is not,
-- probe channel, probe text. The write may fail: a Redis that is full still delivers.
-- Replies {life, replication id, role}.
redis.pcall('SET', KEYS[1], ARGV[1], 'NX')
local life = redis.pcall('GET', KEYS[1])
local rid, role = replication()
redis.call(PUBLISH, ARGV[2], ARGV[3])
return {type(life) == 'string' and life or '', rid, role}
