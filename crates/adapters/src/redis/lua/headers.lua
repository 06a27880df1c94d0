-- First part of every script: process headers, and the handling of damaged data.
--
-- KEYS[1] is the prefix of the namespace. ARGV[1] is the time in milliseconds; if it is empty, the server's time is
-- used. The scripts know no status by name and read no record bodies. Header field `slot_state`: 0 waiting, 1 holds a
-- slot, 2 live without a slot, 3 ended. Header field `closing`: 0 open, 1 accepts no children, 2 accepts no
-- descendants. Texts are never compared with `<`, because Lua compares them by the locale of the server.
local P = KEYS[1]
local call = redis.call
local SEP = '\31'

local moment = tonumber(ARGV[1])

-- Returns the time in milliseconds; the value does not change during a script.
local function now()
  if not moment then
    local time = call('TIME')
    moment = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return moment
end

local FIELDS = {
  'rev', 'seq', 'slot_state', 'status', 'closing', 'attempt', 'owner', 'key', 'class', 'priority', 'due', 'ancestors',
  'node', 'queued', 'completed', 'action_seq', 'pending', 'if_claimed', 'owner_lost',
}
-- Below this number '%d' is correct on every platform; '%.0f' is correct for larger numbers and takes three times as
-- long.
local SMALL = 2 ^ 31
local MAX_ANSWERS = 64
local ANSWER = 24
local MAX_EVENTS = '100000'

-- Returns a header with the default of every field. A field with its default is not stored.
local function none()
  return {
    rev = '', seq = '', slot_state = '', status = '', closing = '', attempt = '', owner = '', key = '', class = '',
    priority = '', due = '', ancestors = '', node = '', queued = '', completed = '', action_seq = '0', pending = '0',
    if_claimed = '', owner_lost = '',
  }
end

-- Returns a whole number as text, also a large one. Arguments of commands are always passed as text: letting the server
-- convert a number takes longer than the command.
local function int(number) return string.format(number < SMALL and number > -SMALL and '%d' or '%.0f', number) end
local function pad(seq) return string.format(#seq < 10 and '%016d' or '%016.0f', tonumber(seq)) end

--
-- A server does not undo the writes of a script that fails. A script therefore checks all data that it needs before its
-- first write, and ends with an error if something is damaged. Scripts that handle many processes skip damaged ones.

local function is_whole(text) return #text <= 20 and text:find('^%-?%d+$') ~= nil end

-- Returns true for a counter value below 10^15, which a Lua number represents exactly.
local function is_count(text) return #text < 16 and text:find('^%d+$') ~= nil end

-- Ends the script with an error. Must be called before the first write. Non-ASCII bytes are escaped, because the client
-- would take such a reply for a broken connection.
local function damaged(what)
  error('LHDAMAGED ' .. what:gsub('[^\32-\126]', function(c) return string.format('\\x%02x', c:byte()) end), 0)
end

-- Formats a binary id.
local function printed(id)
  if #id ~= 16 then return 'without an id' end
  local digits = id:gsub('.', function(c) return string.format('%02x', c:byte()) end)
  return digits:gsub('^(........)(....)(....)(....)', '%1-%2-%3-%4-')
end

-- For each type, a command that fails on a key of another type and changes nothing.
local TYPE_PROBES = {
  hash = { 'HEXISTS', '' }, list = { 'LLEN' }, set = { 'SMEMBERS' }, stream = { 'XRANGE', '-', '-' }, zset = { 'ZCARD' },
}

-- Ends the script unless the key has the given type or does not exist.
local function needs(kind, name)
  local probe = TYPE_PROBES[kind]
  local found = redis.pcall(probe[1], P .. name, unpack(probe, 2))
  if type(found) ~= 'table' or not found.err then return end
  if not found.err:find('WRONGTYPE') then error(found.err, 0) end
  damaged('a key is not a ' .. kind .. ': ' .. P .. name)
end

local COUNTS = { 'rev', 'seq', 'attempt', 'action_seq', 'pending' }
local NUMBERS = { 'priority', 'queued' }
local MOMENTS = { 'due', 'completed', 'owner_lost' }
-- What a claim sets in the header of a waiting process: status, closing, due, and whether the node becomes its owner.
local IF_CLAIMED = '^([^' .. SEP .. ']+)' .. SEP .. '([012])' .. SEP .. '(%-?%d*)' .. SEP .. '([01])$'

-- Returns true if a header is valid according to one combined check, which nearly all headers pass.
local function is_plainly_sound(h)
  local numbers = h.rev .. ' ' .. h.seq .. ' ' .. h.attempt .. ' ' .. h.action_seq .. ' ' .. h.pending .. ' '
    .. h.priority .. ' ' .. h.queued .. ' ' .. h.due .. ' ' .. h.completed .. ' ' .. h.owner_lost .. ' '
    .. h.slot_state .. ' ' .. h.closing
  return #h.rev < 16 and #h.seq < 16 and #h.attempt < 16 and #h.action_seq < 16 and #h.pending < 16
    and #h.priority <= 20 and #h.queued <= 20 and #h.due <= 20 and #h.completed <= 20 and #h.owner_lost <= 20
    and #h.ancestors % 16 == 0 and h.slot_state ~= '0'
    and numbers:find('^%d+ %d+ %d+ %d+ %d+ %d+ %d+ %d* %d* %d* [123] [012]$') ~= nil
end

-- Returns what is wrong with a header; nil if it is valid.
local function fault_in(h)
  if is_plainly_sound(h) then return nil end
  for _, name in ipairs(COUNTS) do
    if not is_count(h[name]) then return name .. ' is not a counter' end
  end
  for _, name in ipairs(NUMBERS) do
    if not is_whole(h[name]) then return name .. ' is not a number' end
  end
  for _, name in ipairs(MOMENTS) do
    if h[name] ~= '' and not is_whole(h[name]) then return name .. ' is not a time' end
  end
  if not h.slot_state:find('^[0123]$') then return 'slot_state is invalid' end
  if not h.closing:find('^[012]$') then return 'closing is invalid' end
  if #h.ancestors % 16 ~= 0 then return 'ancestors are not ids' end
  if h.slot_state == '0' and not h.if_claimed:find(IF_CLAIMED) then return 'if_claimed is invalid' end
  return nil
end

-- Returns the header of a process with all values as texts ('' for absent ones); nil if the process does not exist.
-- Ends the script if the header is damaged.
local function head(id)
  local found = redis.pcall('HGETALL', P .. 'p:' .. id)
  if found.err then damaged('process ' .. printed(id) .. ': its header is not a hash') end
  if not found[1] then return nil end
  local h, is_there = none(), false
  for i = 1, #found, 2 do
    local name = found[i]
    if h[name] then
      h[name] = found[i + 1]
      is_there = true
    end
  end
  if not is_there then return nil end
  local fault = fault_in(h)
  if fault then damaged('process ' .. printed(id) .. ': ' .. fault) end
  return h
end

-- Returns the reason in an error, without the name of the process.
local function cause(fault)
  local text = type(fault) == 'table' and fault.err or tostring(fault)
  return (text:gsub('^LHDAMAGED ', ''):gsub('^process %S+: ', ''))
end

-- Like `head`, but returns nil and the reason if the header is damaged.
local function sound_head(id)
  local is_sound, found = pcall(head, id)
  if is_sound then return found, nil end
  return nil, cause(found)
end

local function copy(h)
  return {
    rev = h.rev, seq = h.seq, slot_state = h.slot_state, status = h.status, closing = h.closing, attempt = h.attempt,
    owner = h.owner, key = h.key, class = h.class, priority = h.priority, due = h.due, ancestors = h.ancestors,
    node = h.node, queued = h.queued, completed = h.completed, action_seq = h.action_seq, pending = h.pending,
    if_claimed = h.if_claimed, owner_lost = h.owner_lost,
  }
end

-- Writes the fields that differ from the old header; without an old header, all that differ from the defaults.
local function save(id, old, new)
  local changed, count, was = {}, 0, old or none()
  for i = 1, #FIELDS do
    local name = FIELDS[i]
    if new[name] ~= was[name] then
      changed[count + 1], changed[count + 2] = name, new[name]
      count = count + 2
    end
  end
  if changed[1] then call('HSET', P .. 'p:' .. id, unpack(changed)) end
end
