-- Keeps notes. KEYS: notes by their end, and in the order in which they came. ARGV:
-- set, or add for those alone that are not there; the most notes; then of each its
-- end (Unix s) and its text. Replies 0 when there would be too many, else 1.
local time = now()

-- What has ended stays for an hour: a node that was cut off does not put back
-- what was ended meanwhile.
local hour = 3600
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(math.floor(time / 1000) - hour), 'LIMIT', 0, 1000)
if #over > 0 then
  redis.call('ZREM', KEYS[1], unpack(over))
  redis.call('ZREM', KEYS[2], unpack(over))
end
local changed, more = {}, 0
for i = 3, #ARGV, 2 do
  local had = redis.call('ZSCORE', KEYS[1], ARGV[i + 1])
  if not had then more = more + 1 end
  if not had or ARGV[1] == 'set' and tonumber(had) ~= tonumber(ARGV[i]) then push(changed, i) end
end
if redis.call('ZCARD', KEYS[1]) + more > tonumber(ARGV[2]) then return 0 end

-- A place in the order is a time in microseconds, so that one is not used twice
-- when Redis goes back to an older state.
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local place = math.max(tonumber(last or 0), time * 1000)
for _, i in ipairs(changed) do
  place = place + 1
  redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], whole(place), ARGV[i + 1])
end
return 1
