-- One probe of a node. It writes as a publication does, into keys of its own, so
-- that a Redis that refuses writes is seen although nobody publishes. The writes
-- may fail: a Redis that is full still delivers.
-- KEYS: life, the probe's log and meta. ARGV: what life becomes where it is not,
-- probe channel, probe text, how long the probe's keys live, in ms.
-- Replies {life, replication id, role, why Redis refuses writes}.
local refused = ''
local function write(...)
  local done = redis.pcall(...)
  if failed(done) and refused == '' then refused = done.err end
end
write('XADD', KEYS[2], 'MAXLEN', '=', 1, '*', 't', ARGV[3])
write('HSET', KEYS[3], 't', ARGV[3])
write('PEXPIRE', KEYS[2], ARGV[4])
write('PEXPIRE', KEYS[3], ARGV[4])
write('SET', KEYS[1], ARGV[1], 'NX')
local life = redis.pcall('GET', KEYS[1])
local rid, role = replication()
redis.call(PUBLISH, ARGV[2], ARGV[3])
return {type(life) == 'string' and life or '', rid, role, refused}
