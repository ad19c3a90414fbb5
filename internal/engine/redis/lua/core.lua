-- The shared part of every Magpie script and of the Redis Function.
-- c is one channel: log, meta (its keys), live (its Pub/Sub channel), size,
-- age (of its log, ms), nonce; a publication adds via, by, payload, idem, window.
-- Rule for all that follows: XADD is the first write of a publication, because
-- Redis refuses only the first write of a script when it is out of memory.

local week = 604800000

local function whole(n) return string.format('%.0f', n) end

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- replication names the history that this Redis is writing. It changes when
-- Redis restarts or fails over. Empty: this user may not ask.
local function replication()
  local info = redis.pcall('INFO', 'replication')
  if type(info) ~= 'string' then return '', '' end
  return string.sub(string.match(info, 'master_replid:(%x+)') or '', 1, 16), string.match(info, 'role:(%a+)') or ''
end

local function offset_of(entry) return tonumber(string.match(entry[1], '^(%d+)')) end
local function time_of(entry) return tonumber(entry[2][2]) or 0 end

-- last_offset is the highest id that the log ever had, whatever was trimmed.
local function last_offset(log)
  if redis.call('EXISTS', log) == 0 then return 0 end
  local info = redis.call('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^(%d+)')) end
  end
  return 0
end

-- remembered adds (epoch, top) to the timeline history, newest first. Forks
-- below the log's start are left out: their positions are gaps anyway.
local function remembered(c, id)
  local first = redis.call('XRANGE', c.log, '-', '+', 'COUNT', 1)[1]
  local floor = first and offset_of(first) - 1 or id.top
  local list = {id.epoch .. ':' .. whole(id.top)}
  for epoch, fork in string.gmatch(id.history, '(%x+):(%d+)') do
    if tonumber(fork) >= floor and #list < 16 then list[#list + 1] = epoch .. ':' .. fork end
  end
  return table.concat(list, ' ')
end

local function new_epoch(c, old, rid)
  local t = redis.call('TIME')
  return string.sub(redis.sha1hex(table.concat({rid, c.nonce, t[1], t[2], c.meta, old or ''}, ' ')), 1, 8)
end

-- identity reads who the log is. Where there is none, or where Redis is not
-- the one that wrote it, a new epoch begins; nothing is written here.
local function identity(c, rid)
  local m = redis.call('HMGET', c.meta, 'e', 'o', 'r', 'h', 'x', 'k', 'a')
  local id = {
    epoch = m[1], top = tonumber(m[2] or '0'), rid = m[3] or '', history = m[4] or '',
    logged = tonumber(m[5] or '0'), kept = tonumber(m[6] or '0'), age = tonumber(m[7] or '0'),
  }
  if id.epoch and (rid == '' or rid == id.rid) then return id end
  id.new = true
  if id.epoch then
    id.history = remembered(c, id)
  else
    id.top, id.history = last_offset(c.log), ''
  end
  id.epoch, id.rid = new_epoch(c, id.epoch, rid), rid
  return id
end

-- stale tells whether a time to live that was set at since must be set again.
local function stale(c, since, time)
  return time < since or time - since > math.min(c.age / 8, 86400000)
end

local function push(list, ...)
  for _, v in ipairs({...}) do list[#list + 1] = v end
end

local function push_identity(set, id)
  if id.new then push(set, 'e', id.epoch, 'o', whole(id.top), 'r', id.rid, 'h', id.history) end
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

-- keep stores a new identity and keeps meta alive; for readers.
local function keep(c, id, time)
  if not id.new and not stale(c, id.kept, time) then return end
  local set = {}
  push_identity(set, id)
  push(set, 'k', whole(time))
  local done = redis.pcall('HSET', c.meta, unpack(set))
  if type(done) == 'table' and done.err and id.new then error(done.err, 0) end
  redis.call('PEXPIRE', c.meta, whole(c.age + week))
end

local function envelope(c, offset, epoch, time)
  return 'm1 ' .. whole(offset) .. ' ' .. epoch .. ' ' .. whole(time) .. ' ' .. c.via .. ' ' .. #c.by .. '\n' .. c.by .. c.payload
end

local function failed(reply) return type(reply) == 'table' and reply.err end

local function xadd(c, offset, time)
  return redis.pcall('XADD', c.log, 'MAXLEN', '=', whole(c.size), whole(offset) .. '-0',
    't', whole(time), 'v', c.via, 'm', c.by, 'd', c.payload)
end

-- append puts the publication into the log and hands it to the nodes. extra
-- are further fields for meta. Returns {offset, epoch, 0} or an error reply.
local function append(c, extra)
  local time = now()
  local id = identity(c, (replication()))
  local added = xadd(c, id.top + 1, time)
  local foreign = failed(added) and string.find(added.err, 'equal or smaller', 1, true)
  if foreign then
    -- Somebody else wrote into the log. Its offsets cannot be trusted any
    -- more: go on behind them, on a timeline that knows no older position.
    id.new, id.history, id.top, id.epoch = true, '', last_offset(c.log), new_epoch(c, id.epoch, id.rid)
    added = xadd(c, id.top + 1, time)
  end
  if failed(added) then return added end
  id.top = id.top + 1
  local set = extra or {}
  push_identity(set, id)
  if not id.new then push(set, 'o', whole(id.top)) end
  local late = id.new or id.age ~= c.age or stale(c, id.logged, time)
  if late then push(set, 'x', whole(time), 'k', whole(time), 'a', whole(c.age)) end
  redis.call('HSET', c.meta, unpack(set))
  if foreign then redis.call('XTRIM', c.log, 'MINID', '=', whole(id.top)) end
  if late then
    redis.call('PEXPIRE', c.meta, whole(c.age + week))
    redis.call('PEXPIRE', c.log, whole(c.age + c.age / 8 + 1000))
    trim(c.log, time - c.age)
  end
  redis.call(PUBLISH, c.live, envelope(c, id.top, id.epoch, time))
  return {id.top, id.epoch, 0}
end

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
  if c.size == 0 then redis.call(PUBLISH, c.live, envelope(c, 0, '-', now())) end
  return done
end
