-- Takes a channel's lease when it is free or this node's own.
-- KEYS: lease, meta. ARGV: live, node, token, lease ms, what is to be said of
-- the asker (words, may be left out), for how many ms its oldest entry waits.
--   young  it has not listened all the time: others may have received more
--   cut    it is young because it was cut off, and so may others have been
--   want   the holder appended what followed what it has: it is asked to stop
-- Replies {1, last append's "TOKEN SEQ"} or {0, why}. The fence goes out in the
-- same step: what was appended before it is seen before it.
--
-- When a tenure ended badly, and no node asks that has listened all the time,
-- the one with the oldest entry is to append first. The lease is then
-- "- TIME NODE": for 400 ms whoever asks is compared, for 300 more the lease is
-- for NODE alone. In the reply "- MS" MS is when it makes sense to ask again.
local said, age = ARGV[5] or '', tonumber(ARGV[6] or '0')
local function is(word) return string.find(said, word, 1, true) end
local function alone()
  -- 0: they listen by a pattern, and nobody knows how many.
  return tonumber(redis.call('PUBSUB', NUMSUB, ARGV[1])[2]) == 1
end

local holder = redis.call('GET', KEYS[1])
local last = redis.call('HMGET', KEYS[2], 'p', 'l')
local ended = not holder and last[1] and math.abs(now() - (tonumber(last[2]) or 0)) < 4000
local choosing = holder and string.sub(holder, 1, 1) == '-'
if holder and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[4]) then
  -- Redis's clock was set back: a lease that is held is renewed, and one that is
  -- not must not live longer than its own length.
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if holder and not choosing and string.sub(holder, 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then
  if is('want') then redis.call(PUBLISH, ARGV[1], 'w1 ' .. ARGV[2]) end
  return {0, holder}
end
if (choosing or ended or not holder and is('cut')) and is('young') and not alone() then
  local left = choosing and math.min(redis.call('PTTL', KEYS[1]), 700) or 700
  local first, node = string.match(holder or '', '^%- (%d+) (%S+)$')
  local mine = now() - age
  if left > 300 and (not first or mine < tonumber(first)) then
    node = ARGV[2]
    redis.call('SET', KEYS[1], '- ' .. whole(mine) .. ' ' .. node, 'PX', left)
    redis.call('HDEL', KEYS[2], 'p')
  end
  if left > 300 or node ~= ARGV[2] then
    return {0, '- ' .. whole(left > 300 and left - 299 or left + 1)}
  end
end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])
-- From now on a late call of an older tenure is refused, also when this one
-- runs out before it appends.
if last[1] then redis.call('HSET', KEYS[2], 'p', ARGV[3] .. ' 0', 'l', whole(now())) end
redis.call(PUBLISH, ARGV[1], 'f1 ' .. ARGV[2] .. ' ' .. ARGV[3])
return {1, last[1] or ''}
