-- Appends one plain PUBLISH for the node that holds the channel's lease.
-- KEYS: log, meta, lease. ARGV: live, nonce, size, age, bytes, payload, node, token, seq, lease ms.
-- seq counts the entries of one tenure. It makes a pipeline stop at its first
-- failure and lets a holder learn what became of a call without an answer.
-- Replies {1, offset, epoch} done, {0, seq} not the holder, {2, seq} done
-- before, {3, seq} not this one's turn.
local holder = redis.call('GET', KEYS[3])
local mine = ARGV[7] .. ' ' .. ARGV[8]
local token, seq = string.match(redis.call('HGET', KEYS[2], 'p') or '', '^(%S+) (%d+)$')
-- A lease that ran out is still ours while nobody appended since: the last
-- append's token says so.
if holder ~= mine and (holder or token ~= ARGV[8]) then return {0, 0} end
local last = token == ARGV[8] and tonumber(seq) or 0
local turn = tonumber(ARGV[9])
if turn <= last then return {2, last} end
if turn ~= last + 1 then return {3, last} end
local done = append({
  log = KEYS[1], meta = KEYS[2], live = ARGV[1], nonce = ARGV[2], size = tonumber(ARGV[3]),
  age = tonumber(ARGV[4]), bytes = tonumber(ARGV[5]), via = 'plain', by = '', payload = ARGV[6],
}, {'p', ARGV[8] .. ' ' .. ARGV[9], 'l', whole(now())})
if failed(done) then return done end
redis.call('SET', KEYS[3], mine, 'PX', ARGV[10])
return {1, done[1], done[2]}
