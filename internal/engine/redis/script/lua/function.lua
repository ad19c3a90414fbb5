-- The Redis Function. prefix, name, fixed and settings_key come before.

-- One character of UTF-8.
local rune = '[%z\1-\127\194-\244][\128-\191]*'

-- pieces_of returns what stands between the stars of a glob, as patterns.
local function pieces_of(glob)
  local pieces = {}
  for piece in string.gmatch(glob .. '*', '(.-)%*') do
    pieces[#pieces + 1] = string.gsub(piece, '[^%w\128-\255]', function(c) return c == '?' and rune or '%' .. c end)
  end
  return pieces
end

-- matches tells whether a glob of these pieces fits all of s. Each piece is taken
-- where it is found first: one pattern with several stars would try all places
-- for all of them, and stop Redis for a name that somebody has chosen for that.
local function matches(pieces, s)
  local n, at, _ = #pieces, 0
  if n == 1 then return string.find(s, '^' .. pieces[1] .. '$') ~= nil end
  for i = 1, n - 1 do
    _, at = string.find(s, (i == 1 and '^' or '') .. pieces[i], at + 1)
    if not at then return false end
  end
  return string.find(s, pieces[n] .. '$', at + 1) ~= nil
end

local known, many = {}, 0

-- settings are those of the nodes that serve this database, or nil. What was
-- read once is kept by its text.
local function settings()
  local text = fixed or redis.call('GET', settings_key)
  if not text then return nil end
  if not known[text] then
    if many >= 16 then known, many = {}, 0 end
    local s = cjson.decode(text)
    for _, r in ipairs(s.rules) do r[1] = pieces_of(r[1]) end
    known[text], many = s, many + 1
  end
  return known[text]
end

local function rule_for(s, channel)
  for _, r in ipairs(s.rules) do
    if matches(r[1], channel) then return r end
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
  local s = settings()
  if not s then
    return redis.error_reply('ERR no Magpie with the prefix ' .. prefix .. ' serves this database; select the one in its Redis URL, or try again in a moment if Redis was just emptied')
  end
  if #payload > s.max_payload then
    return redis.error_reply('ERR the payload has ' .. #payload .. ' bytes and ' .. whole(s.max_payload) .. ' is the most')
  end
  local rule = rule_for(s, channel)
  local base = prefix .. ':{' .. channel .. '}:'
  local done = publish({
    log = base .. 'log', meta = base .. 'meta', live = base .. 'live' .. s.database, idem = key and key ~= '' and base .. 'idem:' .. key or nil,
    nonce = 'fcall', size = rule[2], age = rule[3], bytes = rule[4] or 0, window = whole(s.window), via = 'fcall', by = '', payload = payload,
  })
  if failed(done) then return done end
  return {done[1], done[2]}
end)
