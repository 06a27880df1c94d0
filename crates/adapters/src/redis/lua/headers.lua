-- What every script begins with: the flat heads of processes, and how damage is met.
--
-- KEYS[1] is the prefix of the namespace, ARGV[1] the time in milliseconds, empty for that of the server. No status is
-- known by name here and no body is read: `standing` is 0 waits, 1 holds a slot, 2 idle, 3 ended, and `closing` is
-- 0 open, 1 no child may join, 2 nobody may join anywhere below. Texts are never compared by `<`, which would follow
-- the locale of the server.
local P = KEYS[1]
local call = redis.call
local SEP = '\31'

local moment = tonumber(ARGV[1])

-- The time, the same for as long as a script runs.
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
-- So far '%d' goes wherever the server runs; '%.0f' goes on, and takes three times as long.
local SMALL = 2 ^ 31
local MAX_ANSWERS = 64
local ANSWER = 24
local MAX_EVENTS = '100000'

-- A head as it is where nothing of it is kept. What is so is not kept.
local function none()
  return {
    rev = '', seq = '', slot_state = '', status = '', closing = '', attempt = '', owner = '', key = '', class = '',
    priority = '', due = '', ancestors = '', node = '', queued = '', completed = '', action_seq = '0', pending = '0',
    if_claimed = '', owner_lost = '',
  }
end

-- Whole numbers as text, also large ones. Whatever is given to a command is a text too: to write out a number there takes
-- longer than the command.
local function int(number) return string.format(number < SMALL and number > -SMALL and '%d' or '%.0f', number) end
local function pad(seq) return string.format(#seq < 10 and '%016d' or '%016.0f', tonumber(seq)) end

-- Damage -------------------------------------------------------------------------------------------------------------
--
-- A server takes nothing back that a script wrote before it failed. Whatever a script needs it therefore looks at before
-- it writes, and ends with the cause if that is damaged. Whoever deals with many leaves out the damaged ones.

local function is_whole(text) return #text <= 20 and text:find('^%-?%d+$') ~= nil end

-- Whether it is one that was counted up to, which is exact here.
local function is_count(text) return #text < 16 and text:find('^%d+$') ~= nil end

-- Ends the script; nothing may have been written by then. An answer that is no text would look like a broken connection.
local function damaged(what)
  error('LHDAMAGED ' .. what:gsub('[^\32-\126]', function(c) return string.format('\\x%02x', c:byte()) end), 0)
end

-- An id as it is printed.
local function printed(id)
  if #id ~= 16 then return 'without an id' end
  local digits = id:gsub('.', function(c) return string.format('%02x', c:byte()) end)
  return digits:gsub('^(........)(....)(....)(....)', '%1-%2-%3-%4-')
end

-- What fails on a key of another kind, and changes nothing.
local TYPE_PROBES = {
  hash = { 'HEXISTS', '' }, list = { 'LLEN' }, set = { 'SMEMBERS' }, stream = { 'XRANGE', '-', '-' }, zset = { 'ZCARD' },
}

-- Ends the script unless this key is of its kind, or absent.
local function needs(kind, name)
  local probe = TYPE_PROBES[kind]
  local found = redis.pcall(probe[1], P .. name, unpack(probe, 2))
  if type(found) ~= 'table' or not found.err then return end
  if not found.err:find('WRONGTYPE') then error(found.err, 0) end
  damaged('a key that has to be a ' .. kind .. ' is none: ' .. P .. name)
end

local COUNTS = { 'rev', 'seq', 'attempt', 'action_seq', 'pending' }
local NUMBERS = { 'priority', 'queued' }
local MOMENTS = { 'due', 'completed', 'owner_lost' }
-- What a claim makes of a waiter: status, closing, due, and whether the node owns it.
local IF_CLAIMED = '^([^' .. SEP .. ']+)' .. SEP .. '([012])' .. SEP .. '(%-?%d*)' .. SEP .. '([01])$'

-- Whether a head is sound at first sight, as nearly all are: all that has to be looked at is looked at together.
local function is_plainly_sound(h)
  local numbers = h.rev .. ' ' .. h.seq .. ' ' .. h.attempt .. ' ' .. h.action_seq .. ' ' .. h.pending .. ' '
    .. h.priority .. ' ' .. h.queued .. ' ' .. h.due .. ' ' .. h.completed .. ' ' .. h.owner_lost .. ' '
    .. h.slot_state .. ' ' .. h.closing
  return #h.rev < 16 and #h.seq < 16 and #h.attempt < 16 and #h.action_seq < 16 and #h.pending < 16
    and #h.priority <= 20 and #h.queued <= 20 and #h.due <= 20 and #h.completed <= 20 and #h.owner_lost <= 20
    and #h.ancestors % 16 == 0 and h.slot_state ~= '0'
    and numbers:find('^%d+ %d+ %d+ %d+ %d+ %d+ %d+ %d* %d* %d* [123] [012]$') ~= nil
end

-- What is wrong with a head; nil if nothing is.
local function fault_in(h)
  if is_plainly_sound(h) then return nil end
  for _, name in ipairs(COUNTS) do
    if not is_count(h[name]) then return name .. ' is no count' end
  end
  for _, name in ipairs(NUMBERS) do
    if not is_whole(h[name]) then return name .. ' is no number' end
  end
  for _, name in ipairs(MOMENTS) do
    if h[name] ~= '' and not is_whole(h[name]) then return name .. ' is no moment' end
  end
  if not h.slot_state:find('^[0123]$') then return 'slot_state is invalid' end
  if not h.closing:find('^[012]$') then return 'closing is none' end
  if #h.ancestors % 16 ~= 0 then return 'ancestors are no ids' end
  if h.slot_state == '0' and not h.if_claimed:find(IF_CLAIMED) then return 'if_claimed is none' end
  return nil
end

-- The head of a process, all values as texts, '' for none; nil if there is no such process. Ends the script if it is
-- damaged.
local function head(id)
  local found = redis.pcall('HGETALL', P .. 'p:' .. id)
  if found.err then damaged('process ' .. printed(id) .. ': its head is no hash') end
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

-- The cause in an error, without the process that it names.
local function cause(fault)
  local text = type(fault) == 'table' and fault.err or tostring(fault)
  return (text:gsub('^LHDAMAGED ', ''):gsub('^process %S+: ', ''))
end

-- The same of one of many: nil as well if it is damaged, and then what is wrong.
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

-- Writes what differs; without an old head all that there is.
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
