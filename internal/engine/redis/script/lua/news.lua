-- Reads notes in the order in which they came. KEYS: notes by their end, and in
-- that order. ARGV: the place of the last one that was read, how many to read.
-- Replies the text, the end and the place of each.
local texts = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local list = {}
for i = 1, #texts, 2 do push(list, texts[i], redis.call('ZSCORE', KEYS[1], texts[i]) or '0', texts[i + 1]) end
return list
