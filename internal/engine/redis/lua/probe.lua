-- One heartbeat of a node. KEYS: life, node lease (left out in a cluster: it
-- lies on one master). ARGV: canary, lease ms, probe channel, probe text. Every
-- write may fail alone: a Redis that is full still delivers.
-- Replies {life, replication id, role, 1 when the lease was there}.
redis.pcall('SET', KEYS[1], ARGV[1], 'NX')
local alive = 1
if KEYS[2] then
  alive = redis.pcall('PEXPIRE', KEYS[2], ARGV[2])
  if alive ~= 1 then redis.pcall('SET', KEYS[2], '1', 'PX', ARGV[2]) end
end
local life = redis.pcall('GET', KEYS[1])
local rid, role = replication()
redis.call(PUBLISH, ARGV[3], ARGV[4])
return {type(life) == 'string' and life or '', rid, role, alive == 1 and 1 or 0}
