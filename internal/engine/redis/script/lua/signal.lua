-- Hands a signal to one node or all. KEYS: the Pub/Sub name. ARGV: data. Replies
-- how many nodes listen to the name; PUBLISH's own answer would count patterns, too.
local listeners = redis.call('PUBSUB', NUMSUB, KEYS[1])[2]
redis.call(PUBLISH, KEYS[1], ARGV[1])
return tonumber(listeners)
