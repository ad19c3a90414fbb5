-- Publishes one entry of an ingested stream and acknowledges it, in one step.
-- KEYS: stream, log, meta, rejected, idempotency key (may be left out).
-- ARGV: group, entry id, reason to reject ('' to publish), then as in
-- publish.lua from live on.
-- Only the oldest pending entry is taken: that keeps the stream's order and
-- makes a second attempt find nothing. Replies 1 published, 2 rejected,
-- 0 done before, 3 not this one's turn.
local stream, group, entry, reason = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local function before(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  -- Compare digits, not numbers: ids may exceed what a Lua number holds.
  local function less(x, y) if #x ~= #y then return #x < #y end return x < y end
  if am ~= bm then return less(am, bm) end
  return less(as, bs)
end

while true do
  local first = redis.call('XPENDING', stream, group, '-', '+', 1)[1]
  if not first or before(entry, first[1]) then return 0 end
  if first[1] == entry then break end
  -- An entry that was deleted from the stream would block all behind it.
  if #redis.call('XRANGE', stream, first[1], first[1]) > 0 then return 3 end
  redis.call('XACK', stream, group, first[1])
end

if reason == '' then
  local done = publish({
    log = KEYS[2], meta = KEYS[3], idem = KEYS[5], live = ARGV[4], nonce = ARGV[5], size = tonumber(ARGV[6]),
    age = tonumber(ARGV[7]), bytes = tonumber(ARGV[8]), window = ARGV[9], via = 'xadd', by = '', payload = ARGV[12],
  })
  if not failed(done) then
    redis.call('XACK', stream, group, entry)
    return 1
  end
  if string.sub(done.err, 1, 8) ~= 'CONFLICT' then return done end
  reason = done.err
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 1000, '*', 'stream', stream, 'id', entry, 'reason', reason, 'payload', ARGV[12])
redis.call('XACK', stream, group, entry)
return 2
