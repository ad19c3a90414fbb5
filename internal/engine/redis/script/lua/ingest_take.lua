-- Takes or renews the right to read one ingested stream. KEYS: lease.
-- ARGV: node, lease ms. Replies 2 taken, 1 renewed, 0 another node has it.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  -- Redis's clock was set back: the lease must not live longer than its length.
  if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return holder and 1 or 2
