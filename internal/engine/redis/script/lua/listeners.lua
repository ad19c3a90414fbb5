-- How many nodes listen. KEYS: the Pub/Sub name.
return redis.call('PUBSUB', NUMSUB, KEYS[1])[2]
