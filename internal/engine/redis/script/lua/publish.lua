-- KEYS: log, meta, idempotency key (may be left out).
-- ARGV: live, nonce, size, age, bytes, window, via, by, payload.
return publish({
  log = KEYS[1], meta = KEYS[2], idem = KEYS[3], live = ARGV[1], nonce = ARGV[2], size = tonumber(ARGV[3]),
  age = tonumber(ARGV[4]), bytes = tonumber(ARGV[5]), window = ARGV[6], via = ARGV[7], by = ARGV[8], payload = ARGV[9],
})
