-- The Redis Function. prefix, rules, max_payload, window and name come before.

local function rule_for(channel)
  for _, r in ipairs(rules) do
    if string.find(channel, r[1]) then return r end
  end
end

-- bad_name says what is wrong with a channel name. Beyond ASCII only the form
-- of UTF-8 is checked; which characters are letters Lua cannot tell.
local function bad_name(s)
  if s == '' then return 'it is empty' end
  if #s > 255 then return 'it has more than 255 bytes' end
  local at = string.find(s, '[^%w%-_:.,;=#$@/+~!\128-\255]')
  if at then return 'byte ' .. at .. ' is not allowed; use letters, digits and -_:.,;=#$@/+~!' end
  local i = 1
  while i <= #s do
    local b = string.byte(s, i)
    local more = b < 128 and 0 or b >= 194 and b < 224 and 1 or b >= 224 and b < 240 and 2 or b >= 240 and b < 245 and 3
    if not more then return 'it is not valid UTF-8' end
    for j = i + 1, i + more do
      local d = string.byte(s, j)
      if not d or d < 128 or d > 191 then return 'it is not valid UTF-8' end
    end
    i = i + more + 1
  end
end

redis.register_function(name, function(keys, args)
  if #keys ~= 1 or #args < 1 or #args > 2 then
    return redis.error_reply('ERR write FCALL ' .. name .. ' 1 CHANNEL PAYLOAD [IDEMPOTENCY_KEY]')
  end
  local channel, payload, key = keys[1], args[1], args[2]
  local bad = bad_name(channel)
  if bad then return redis.error_reply('ERR channel name not allowed: ' .. bad) end
  if #payload > max_payload then
    return redis.error_reply('ERR the payload has ' .. #payload .. ' bytes and ' .. max_payload .. ' is the most')
  end
  local rule = rule_for(channel)
  local base = prefix .. ':{' .. channel .. '}:'
  local done = publish({
    log = base .. 'log', meta = base .. 'meta', live = base .. 'live', idem = key and key ~= '' and base .. 'idem:' .. key or nil,
    nonce = 'fcall', size = rule[2], age = rule[3], window = window, via = 'fcall', by = '', payload = payload,
  })
  if failed(done) then return done end
  return {done[1], done[2]}
end)
