-- Keeps notes, each once. KEYS: notes by their end, and in the order in which
-- they came. ARGV: the most notes, then of each its end (Unix s) and its text.
-- Replies 0 when there would be too many, else 1.
local time = now()
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(math.floor(time / 1000)), 'LIMIT', 0, 1000)
if #over > 0 then
  redis.call('ZREM', KEYS[1], unpack(over))
  redis.call('ZREM', KEYS[2], unpack(over))
end
local fresh, more = {}, 0
for i = 2, #ARGV, 2 do
  local had = redis.call('ZSCORE', KEYS[1], ARGV[i + 1])
  if not had then more = more + 1 end
  if not had or tonumber(had) < tonumber(ARGV[i]) then push(fresh, i) end
end
if redis.call('ZCARD', KEYS[1]) + more > tonumber(ARGV[1]) then return 0 end

-- A place in the order is a time in microseconds, so that one is not used twice
-- when Redis goes back to an older state.
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local place = math.max(tonumber(last or 0), time * 1000)
for _, i in ipairs(fresh) do
  place = place + 1
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], whole(place), ARGV[i + 1])
end
return 1
