-- A publication, once per idempotency key.

-- publish is append behind the idempotency key, or only PUBLISH without a log.
local function publish(c)
  local sum
  if c.idem then
    sum = redis.sha1hex(c.payload)
    local seen = redis.call('GET', c.idem)
    if seen then
      local epoch, offset, before = string.match(seen, '^(%S*) (%d+) (%x+)$')
      if before ~= sum then
        return redis.error_reply('CONFLICT the idempotency key was used for another payload in this channel')
      end
      if redis.call('PTTL', c.idem) > tonumber(c.window) then -- the clock was set back
        redis.call('PEXPIRE', c.idem, c.window)
      end
      return {tonumber(offset), epoch, 1}
    end
  end
  local done = {0, '', 0}
  if c.size > 0 then
    done = append(c)
    if failed(done) then return done end
  end
  if c.idem then
    redis.call('SET', c.idem, done[2] .. ' ' .. whole(done[1]) .. ' ' .. sum, 'PX', c.window)
  end
  if c.size == 0 then redis.call(PUBLISH, c.live, envelope(c, '0', '-', whole(now()))) end
  return done
end
