-- Reads a part of a log. KEYS: log, meta.
-- ARGV: nonce, age, since's epoch ('' for none), since's offset, count (0: position alone),
-- way (forward, reverse, resume: forward, and nothing when since is lost).
-- Replies {epoch, top, gap, entries, how far since's epoch goes along with this log}.
local c = {log = KEYS[1], meta = KEYS[2], nonce = ARGV[1], age = tonumber(ARGV[2])}
local epoch, offset, count, way = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local time = now()
local id = identity(c, (replication()))
keep(c, id, time)
local entry = trim(c.log, time - c.age)
local first = entry and offset_of(entry) or id.top + 1
local gap, reach = '', epoch == id.epoch and id.top
if epoch ~= '' then
  for e, fork in string.gmatch(id.history, '(%x+):(%d+)') do
    if e == epoch then reach = tonumber(fork) end
  end
  if not reach or offset > reach then
    gap = 'lost'
  elseif offset + 1 < first then
    gap = 'trimmed'
  end
end
-- Beyond top-0 lies only what somebody else wrote there.
local entries, top = {}, whole(id.top) .. '-0'
if count ~= '0' and entry and not (gap == 'lost' and way == 'resume') then
  if way == 'reverse' then
    local to = epoch == '' and top or whole(math.min(offset - 1, id.top)) .. '-0'
    if epoch == '' or offset > 1 then entries = redis.call('XREVRANGE', c.log, to, '-', 'COUNT', count) end
  else
    local from = (epoch == '' or gap == 'lost') and '-' or whole(offset + 1)
    entries = redis.call('XRANGE', c.log, from, top, 'COUNT', count)
  end
end
return {id.epoch, whole(id.top), gap, entries, whole(reach or 0)}
