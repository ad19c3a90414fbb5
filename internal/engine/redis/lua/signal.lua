-- Hands a signal to one node or all. ARGV: name, data. Replies how many nodes
-- listen to the name; PUBLISH's own answer would count patterns, too.
local listeners = redis.call('PUBSUB', 'NUMSUB', ARGV[1])[2]
redis.call('PUBLISH', ARGV[1], ARGV[2])
return tonumber(listeners)
