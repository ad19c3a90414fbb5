-- What the readers of a log and its writer share.

-- stale tells whether a time to live that was set at since must be set again.
local function stale(c, since, time)
  return time < since or time - since > math.min(c.age / 8, 86400000)
end

-- trim drops what is older than cutoff and returns the first entry left.
local function trim(log, cutoff)
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if not first or time_of(first) >= cutoff then return first end
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if time_of(last) < cutoff then
    redis.call('XTRIM', log, 'MAXLEN', '=', 0)
    return nil
  end
  local lo, hi = offset_of(first), offset_of(last)
  while hi - lo > 1 do
    local mid = math.floor((lo + hi) / 2)
    local entry = redis.call('XRANGE', log, whole(mid), '+', 'COUNT', 1)[1]
    if time_of(entry) < cutoff then lo = math.max(mid, offset_of(entry)) else hi = mid end
  end
  redis.call('XTRIM', log, 'MINID', '=', whole(hi))
  return redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
end

-- keep stores a new identity and keeps meta alive; for readers. That of a log
-- that nothing was published to lives for minutes only: who reads at random
-- names must not fill Redis. Nodes ask again in time for channels that they hold.
local function keep(c, id, time)
  if id.top == 0 and id.history == '' then
    if id.new then
      local done = redis.pcall('HSET', c.meta, 'e', id.epoch, 'r', id.rid)
      if type(done) == 'table' and done.err then error(done.err, 0) end
    end
    if redis.call('PTTL', c.meta) < 120000 then redis.call('PEXPIRE', c.meta, 180000) end
    return
  end
  if not id.new and not stale(c, id.kept, time) then return end
  local set = {}
  push_identity(set, id)
  push(set, 'k', whole(time))
  local done = redis.pcall('HSET', c.meta, unpack(set))
  if type(done) == 'table' and done.err and id.new then error(done.err, 0) end
  redis.call('PEXPIRE', c.meta, whole(c.age + week))
end
