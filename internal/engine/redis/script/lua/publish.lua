-- KEYS: log, meta, idempotency key (may be left out).
-- ARGV: live, nonce, size, age, window, via, by, payload.
return publish({
  log = KEYS[1], meta = KEYS[2], idem = KEYS[3], live = ARGV[1], nonce = ARGV[2], size = tonumber(ARGV[3]),
  age = tonumber(ARGV[4]), window = ARGV[5], via = ARGV[6], by = ARGV[7], payload = ARGV[8],
})
