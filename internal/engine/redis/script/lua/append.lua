-- Appends one message and hands it to the nodes.
-- Rule for all that follows: XADD is the first write of a publication, because
-- Redis refuses only the first write of a script when it is out of memory.

-- offset and time are texts.
local function envelope(c, offset, epoch, time)
  return 'm1 ' .. offset .. ' ' .. epoch .. ' ' .. time .. ' ' .. c.via .. ' ' .. #c.by .. '\n' .. c.by .. c.payload
end

local function xadd(c, offset, time)
  return redis.pcall('XADD', c.log, 'MAXLEN', '=', whole(c.size), offset .. '-0', 't', time, 'v', c.via, 'm', c.by, 'd', c.payload)
end

-- append puts the publication into the log and hands it to the nodes. extra
-- are further fields for meta. Returns {offset, epoch, 0} or an error reply.
local function append(c, extra)
  local time = now()
  local id = identity(c, (replication()))
  local top, at = whole(id.top + 1), whole(time)
  local added = xadd(c, top, at)
  local foreign = failed(added) and string.find(added.err, 'equal or smaller', 1, true)
  if foreign then
    -- Somebody else wrote into the log. Its offsets cannot be trusted any
    -- more: go on behind them, on a timeline that knows no older position.
    id.new, id.history, id.top, id.epoch = true, '', last_offset(c.log), new_epoch(c, id.epoch, id.rid)
    top = whole(id.top + 1)
    added = xadd(c, top, at)
  end
  if failed(added) then return added end
  id.top = id.top + 1
  local set = extra or {}
  push_identity(set, id)
  if not id.new then push(set, 'o', top) end
  if c.bytes > 0 then weigh(c, id.top, id.weight, set) end
  local late = id.new or id.age ~= c.age or stale(c, id.logged, time)
  if late then push(set, 'x', at, 'k', at, 'a', whole(c.age)) end
  redis.call('HSET', c.meta, unpack(set))
  if foreign then redis.call('XTRIM', c.log, 'MINID', '=', top) end
  if late then
    redis.call('PEXPIRE', c.meta, whole(c.age + week))
    redis.call('PEXPIRE', c.log, whole(c.age + c.age / 8 + 1000))
    trim(c.log, time - c.age)
  end
  redis.call(PUBLISH, c.live, envelope(c, top, id.epoch, at))
  return {id.top, id.epoch, 0}
end
