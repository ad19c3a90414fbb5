-- What all scripts and the Redis Function begin with.
-- c is one channel: log, meta (its keys), live (its Pub/Sub channel), size,
-- age (of its log, ms), bytes (of its log, 0: no bound), nonce; a publication adds via, by, payload, idem, window.

local week = 604800000

local function whole(n) return string.format('%.0f', n) end

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function push(list, ...)
  for i = 1, select('#', ...) do list[#list + 1] = (select(i, ...)) end
end

local function failed(reply) return type(reply) == 'table' and reply.err end

local function offset_of(entry) return tonumber(string.match(entry[1], '^(%d+)')) end
local function time_of(entry) return tonumber(entry[2][2]) or 0 end
