-- What a log holds in bytes is bounded, mostly without a look at it. As long as no
-- message is longer than its share of the bound, the number of messages bounds the
-- bytes, too, and meta has
--   b  "=BOUND/SIZE": all are short, by this bound and number
-- From the first long one on the bytes are counted. Each time that a step, a
-- sixteenth of the bound, was appended the log is cut to fifteen of them. Then meta has
--   b  "TOP ROOM": behind the offset TOP less than ROOM bytes may come before that
--   g  "BOUND ROOM TOTAL OFFSET:TOTAL ...": at the last cut, the bound, the room and
--      what the log held, and marks, oldest first: what it held up to there
-- What its number or its age takes away counts until its mark goes; a log
-- that is full of bytes keeps at least fourteen steps, less one message.

-- weigh keeps the log within its bound when the message at the offset top was
-- appended; known is meta's b. What meta has to know is pushed to set. The functions
-- that are seldom needed are made where they are: each call of a script makes all others.
local function weigh(c, top, known, set)
  local size, short, most = #c.by + #c.payload, '=' .. c.bytes .. '/' .. c.size, c.bytes / c.size
  if size <= most then
    if known == short then return end
    if top == 1 and not known then return push(set, 'b', short) end
  end
  local step = math.floor(c.bytes / 16)
  local at, room = string.match(known or '', '^(%d+) (%d+)$')
  room = tonumber(room)
  local follows = tonumber(at) == top - 1
  if follows and size < room and room <= step then
    return push(set, 'b', whole(top) .. ' ' .. whole(room - size))
  end

  -- held is what the log holds up to the message before, with its marks, as meta
  -- knows it; nil when it has to be counted.
  local function held()
    local text = redis.call('HGET', c.meta, 'g') or ''
    local bound, first, total, rest = string.match(text, '^(%d+) (%d+) (%d+)(.*)$')
    if not follows or tonumber(bound) ~= c.bytes then return nil end
    local marks = {}
    for o, t in string.gmatch(rest, '(%d+):(%d+)') do push(marks, {tonumber(o), tonumber(t)}) end
    return tonumber(total) + tonumber(first) - room, marks
  end

  -- recount counts it, backwards, as far as the bound reaches: before the first long
  -- message, where another version has written, or when the bound was another. The
  -- third answer is the longest message.
  local function recount()
    local sum, walked, longest, marks, from = 0, 0, 0, {}, whole(top - 1) .. '-0'
    repeat
      local part = top > 1 and redis.call('XREVRANGE', c.log, from, '-', 'COUNT', 16) or {}
      local more = #part == 16
      for _, entry in ipairs(part) do
        local bytes = #(entry[2][6] or '') + #(entry[2][8] or '')
        longest = math.max(longest, bytes)
        if sum + bytes > c.bytes then
          redis.call('XTRIM', c.log, 'MINID', '=', whole(offset_of(entry) + 1))
          more = false
          break
        end
        sum, walked, from = sum + bytes, walked + 1, '(' .. entry[1]
        if sum - (marks[1] and marks[1][2] or 0) >= step then table.insert(marks, 1, {offset_of(entry) - 1, sum}) end
      end
    until not more or walked >= 8192
    -- Nobody waits until a million short ones are read: the rest is taken to be like these.
    if walked >= 8192 then sum = math.floor(sum * (redis.call('XLEN', c.log) - 1) / walked) end
    for _, m in ipairs(marks) do m[2] = sum - m[2] end
    return sum, marks, walked < 8192 and longest or c.bytes
  end

  local longest = c.bytes
  local total, marks = held()
  if not total then total, marks, longest = recount() end
  if math.max(size, longest) <= most then return push(set, 'b', short) end
  if not marks[1] or marks[#marks][1] < top - 1 then push(marks, {top - 1, total}) end
  total = total + size
  local i, gone = 0, 0
  while total - gone > c.bytes - step and marks[i + 1] do i, gone = i + 1, marks[i + 1][2] end
  if i > 0 then redis.call('XTRIM', c.log, 'MINID', '=', whole(marks[i][1] + 1)) end
  total = total - gone
  room = math.max(0, math.min(step, c.bytes - total))
  local text = {whole(c.bytes), whole(room), whole(total)}
  for k = i + 1, #marks do push(text, whole(marks[k][1]) .. ':' .. whole(marks[k][2] - gone)) end
  push(set, 'g', table.concat(text, ' '), 'b', whole(top) .. ' ' .. whole(room))
end
