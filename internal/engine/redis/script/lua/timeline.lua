-- A timeline forks. When Redis goes back in time (it restarts from an older
-- snapshot, or a replica takes over that lacks the newest messages), the same
-- offset must not mean two messages. Redis names the history that it writes by
-- its replication id. Each log keeps the one that it was written under. Where
-- the two differ a new epoch begins, and the log remembers the old one with the
-- offset up to which both are the same: the fork.

-- replication names the history that this Redis is writing. It changes when
-- Redis restarts or fails over. Empty: this user may not ask.
local function replication()
  local info = redis.pcall('INFO', 'replication')
  if type(info) ~= 'string' then return '', '' end
  return string.sub(string.match(info, 'master_replid:(%x+)') or '', 1, 16), string.match(info, 'role:(%a+)') or ''
end

-- last_offset is the highest id that the log ever had, whatever was trimmed.
local function last_offset(log)
  if redis.call('EXISTS', log) == 0 then return 0 end
  local info = redis.pcall('XINFO', 'STREAM', log)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^(%d+)')) end
  end
  -- A server without XINFO: what was trimmed off the end is not seen.
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  return last and offset_of(last) or 0
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
  local m = redis.call('HMGET', c.meta, 'e', 'o', 'r', 'h', 'x', 'k', 'a', 'b')
  local id = {
    epoch = m[1], top = tonumber(m[2] or '0'), rid = m[3] or '', history = m[4] or '',
    logged = tonumber(m[5] or '0'), kept = tonumber(m[6] or '0'), age = tonumber(m[7] or '0'), weight = m[8],
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

local function push_identity(set, id)
  if id.new then push(set, 'e', id.epoch, 'o', whole(id.top), 'r', id.rid, 'h', id.history) end
end
