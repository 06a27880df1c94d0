-- What every script has in common beside the heads: leases, news, the log, and the indexes that follow from the heads.

-- Leases ------------------------------------------------------------------------------------------------------------

local function epoch_of(node)
  local epoch = redis.pcall('HGET', P .. 'node:' .. node, 'epoch')
  return type(epoch) == 'string' and is_count(epoch) and epoch or '0'
end

-- Whether this is the newest lease of the node.
local function node_is(node, epoch) return call('HGET', P .. 'node:' .. node, 'epoch') == epoch end

-- Whether it is, and not over.
local function leased(node, epoch)
  local known = call('HMGET', P .. 'node:' .. node, 'epoch', 'until')
  if known[1] ~= epoch then return false end
  if not known[2] or known[2] == '' then return true end
  -- What is no moment is over; the next sign of life makes it one.
  return (tonumber(known[2]) or 0) > now
end

-- Whether the node takes nothing more in.
local function is_draining(node) return call('HGET', P .. 'node:' .. node, 'draining') == '1' end

-- The lease that keeps this author from writing what this node owns, as an answer; nil if nothing does.
local function fenced(owner, node, epoch)
  if owner == '' and node == '' then return nil end
  if node == '' then return { 'fenced', owner, epoch_of(owner) } end
  if (owner == '' or owner == node) and node_is(node, epoch) then return nil end
  return { 'fenced', node, epoch }
end

-- News --------------------------------------------------------------------------------------------------------------

local rings = false

-- Counts in a field of a hash; one that holds no number begins anew.
local function counted(name, field, by)
  local count = redis.pcall('HINCRBY', P .. name, field, by)
  if type(count) == 'number' then return count end
  count = math.max(by, 0)
  redis.pcall('HSET', P .. name, field, count)
  return count
end

local function news_all()
  counted('news', '*', 1)
  rings = true
end

local function news_for(node)
  counted('news', 'n:' .. node, 1)
  rings = true
end

-- A waiter concerns those who may run it.
local function news_of_waiter(class)
  if class:sub(1, 1) == '@' then news_for(class:sub(2)) else news_all() end
end

-- Wakes whoever listens, once for all that a script did.
local function ring()
  if not rings then return end
  local function strike() return redis.pcall('XADD', P .. 'bell', 'MAXLEN', 1, '*', 'x', '') end
  local rung = strike()
  -- One that cannot be rung any more is hung anew.
  if type(rung) == 'table' and rung.err then
    call('DEL', P .. 'bell')
    strike()
  end
end

-- No place is as high as this: numbers are exact below it.
local PLACES_END = 2 ^ 52

-- The last place in the log, behind which nothing of others would keep events from being appended. What stands where no
-- place can be is taken out.
local function behind_strangers(cursor)
  if call('EXISTS', P .. 'ev') == 0 then return cursor end
  repeat
    local strange = call('XRANGE', P .. 'ev', int(PLACES_END), '+', 'COUNT', 100)
    for _, entry in ipairs(strange) do call('XDEL', P .. 'ev', entry[1]) end
  until not strange[1]
  local last = call('XREVRANGE', P .. 'ev', '+', '-', 'COUNT', 1)[1]
  local on = math.max(cursor, last and tonumber(last[1]:match('^%d+')) or 0)
  call('XSETID', P .. 'ev', int(on) .. '-18446744073709551615')
  return on
end

-- What every write counts up or appends to is looked at before it writes; numbers that somebody overwrote are found out
-- again.
local function mend_marks()
  needs('stream', 'ev')
  local marks = call('HMGET', P .. 'meta', 'cursor', 'seq', 'claims')
  local function is_lost(mark) return mark and not is_count(mark) end
  if is_lost(marks[1]) then call('HSET', P .. 'meta', 'cursor', int(behind_strangers(0))) end
  if is_lost(marks[2]) then
    call('HSET', P .. 'meta', 'seq', int(tonumber(call('ZRANGE', P .. 'all', -1, -1, 'WITHSCORES')[2] or '0')))
  end
  if is_lost(marks[3]) then
    local last = 0
    for _, at in ipairs(call('HGETALL', P .. 'served')) do last = math.max(last, is_count(at) and tonumber(at) or 0) end
    call('HSET', P .. 'meta', 'claims', int(last))
  end
end

-- Appends events of one revision, in order.
local function append(id, rev, bodies)
  if #bodies == 0 then return end
  local cursor = call('HINCRBY', P .. 'meta', 'cursor', #bodies) - #bodies
  for i, body in ipairs(bodies) do
    local function add()
      return redis.pcall('XADD', P .. 'ev', 'MAXLEN', '~', KEPT_EVENTS, int(cursor + i) .. '-0',
        'i', id, 'r', rev, 'n', i - 1, 'b', body)
    end
    local added = add()
    if type(added) == 'table' and added.err then
      cursor = behind_strangers(cursor)
      call('HSET', P .. 'meta', 'cursor', int(cursor + #bodies))
      added = add()
      if type(added) == 'table' and added.err then error(added.err, 0) end
    end
  end
  rings = true
end

-- Writes, where nothing changes, so that whoever waits for replicas waits until they have what was found: it may have
-- been written over another connection. As in `even_if_full`, a server that is full takes it.
local function found()
  call('DEL', P .. 'nothing')
  call('HSET', P .. 'meta', 'found', '1')
end

-- Answers to writes ---------------------------------------------------------------------------------------------------

-- What was answered to this write, as a text; nil if it is not known.
local function answer_in(answers, op)
  if not answers then return nil end
  for at = #answers - ANSWER + 1, 1, -ANSWER do
    if answers:sub(at, at + 15) == op then
      found()
      return int((struct.unpack('>I8', answers:sub(at + 16, at + 23))))
    end
  end
  return nil
end

local function with_answer(answers, op, answer)
  local all = (answers or '') .. op .. struct.pack('>I8', tonumber(answer))
  return all:sub(-MOST_ANSWERS * ANSWER)
end

-- What was answered before the process was let go.
local function answer_after_sweep(id, op)
  local tomb = call('HGET', P .. 'tombs', id)
  return tomb and answer_in(tomb:sub(17), op)
end

-- Due rows ------------------------------------------------------------------------------------------------------------

-- When a row wants a decision, if nobody owns it; nil if it does not. One whose node was lost does for as long as it
-- holds its slot.
local function due_of(h)
  if h.owner ~= '' then return nil end
  if tonumber(h.wishes) > 0 then return h.queued end
  if h.orphaned ~= '' and (h.due == '' or tonumber(h.orphaned) < tonumber(h.due)) then return h.orphaned end
  if h.due ~= '' then return h.due end
  return nil
end

-- When the next row without owner is due: those that are handed out not before their time is over.
local function first_due()
  local due = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2]
  local handed = call('ZRANGE', P .. 'handed', 0, 0, 'WITHSCORES')[2]
  due, handed = due and tonumber(due), handed and tonumber(handed)
  if due and handed then return math.min(due, handed) end
  return due or handed
end

-- Nodes set a timer by the first due row, so an earlier one is news.
local function tell_if_earlier(before)
  local first = first_due()
  if first and (not before or first < before) then news_all() end
end

-- Hands a due row out until then; its mark is the member of `due`.
local function hand(mark, untl)
  call('ZREM', P .. 'due', mark)
  call('ZADD', P .. 'handed', int(untl), mark)
end

-- Takes a row that was handed out back among the due ones.
local function back(mark)
  call('ZREM', P .. 'handed', mark)
  local h = sound_head(mark:sub(17))
  local due = h and due_of(h)
  if due then call('ZADD', P .. 'due', due, mark) end
end

-- The queue -----------------------------------------------------------------------------------------------------------
--
-- The waiters of a key stand in lanes, by class and by whether they are roots: `q:<key> <lane>` by priority, then seq.
-- `ready:<lane>` holds the keys that have a waiter in it and a free slot, by the priority of the first, then when the
-- key was served last, then its seq; `at` tells the entry of each. An entry is right when it is made and whenever
-- its own lane changes. What happens in other lanes only makes it stand too early, which a claim mends when it comes to
-- it, so that no write costs more the more lanes there are. The lanes of keys without a free slot stand in `shut`.
-- `classes` counts the keys that have a waiter in each lane.

local policy

-- The version of the policy; nil if there is none, which is so where nobody opened a store, or somebody emptied it.
local function policy_version()
  if not policy then policy = call('HMGET', P .. 'policy', 'version', 'default', 'lens') end
  return policy[1]
end

-- The slots of a key: by its own name, else by the longest pattern, else the default; nil means no limit.
local function slots_of(key)
  if key == '' then return nil end
  local slots = call('HGET', P .. 'limits', key)
  if not slots and policy_version() then
    for len in policy[3]:gmatch('%d+') do
      if #key >= tonumber(len) then slots = call('HGET', P .. 'limits', key:sub(1, tonumber(len)) .. '*') end
      if slots then break end
    end
  end
  slots = tonumber(slots or policy[2])
  -- As long as nobody knows how many there are, none is free.
  if not slots then return 0 end
  if slots > 0 then return slots end
  return nil
end

local function is_held(key) return key ~= '' and call('HEXISTS', P .. 'held', key) == 1 end

-- Whether a waiter of this key may go now.
local function is_open(key)
  if key == '' then return true end
  if is_held(key) then return false end
  local slots = slots_of(key)
  return not slots or call('ZCARD', P .. 'holders:' .. key) < slots
end

local function lane_of(h) return h.class .. SEP .. (h.ancestors == '' and '0' or '1') end

local function served(key)
  local at = call('HGET', P .. 'served', key)
  return at and is_count(at) and at or '0'
end

-- One more key has a waiter in this lane, or one less.
local function count_lane(lane, by)
  if counted('classes', lane, by) <= 0 then call('HDEL', P .. 'classes', lane) end
end

local function unshut(key, lane)
  if call('SREM', P .. 'shut:' .. key, lane) == 1 and call('EXISTS', P .. 'shut:' .. key) == 0 then
    call('SREM', P .. 'shut', key)
  end
end

-- Makes the entry of a key in a lane right.
local function enlist(key, lane)
  local first = call('ZRANGE', P .. 'q:' .. key .. SEP .. lane, 0, 0, 'WITHSCORES')
  local place = lane .. SEP .. key
  local was = call('HGET', P .. 'at', place)
  local is = nil
  if not first[1] then
    if call('SREM', P .. 'lanes:' .. key, lane) == 1 then count_lane(lane, -1) end
    unshut(key, lane)
  elseif is_open(key) then
    is = pad(served(key)) .. first[1]:sub(1, 16) .. key
    unshut(key, lane)
  else
    call('SADD', P .. 'shut:' .. key, lane)
    call('SADD', P .. 'shut', key)
  end
  if was and was ~= is then
    call('ZREM', P .. 'ready:' .. lane, was)
    if not is then call('HDEL', P .. 'at', place) end
  end
  if is then
    call('ZADD', P .. 'ready:' .. lane, first[2], is)
    if was ~= is then call('HSET', P .. 'at', place, is) end
  end
end

-- A slot of the key may have become free.
local function opened(key)
  if call('EXISTS', P .. 'shut:' .. key) == 0 or not is_open(key) then return end
  local lanes = call('SMEMBERS', P .. 'shut:' .. key)
  for _, lane in ipairs(lanes) do enlist(key, lane) end
end

-- Whether anybody waits, of whatever key.
local function anybody_waits() return call('EXISTS', P .. 'classes') == 1 end

local function mark_of(id, h) return pad(h.seq) .. id end

-- Ends the script unless everything is of its kind that changes as soon as this one begins or ceases to wait or to hold.
local function needs_queue(h)
  local lane = lane_of(h)
  needs('zset', 'q:' .. h.key .. SEP .. lane)
  needs('zset', 'ready:' .. lane)
  needs('zset', 'holders:' .. h.key)
  needs('set', 'lanes:' .. h.key)
  needs('set', 'shut:' .. h.key)
end

-- The same for the other indexes in which only such as this one stand; its labels are those that it was filed under.
local function needs_indexes(h, labels)
  needs('zset', 's:' .. h.status)
  if h.node ~= '' then needs('zset', 'x:node:' .. h.node) end
  if h.owner ~= '' then
    needs('zset', 'owned:' .. h.owner)
    needs('zset', 'roots:' .. h.owner)
  end
  if h.ancestors ~= '' then needs('zset', 'tree:' .. h.ancestors:sub(1, 16)) end
  for label in labels:gmatch('[^\n]+') do needs('zset', 'x:' .. label) end
end

-- Ends the script unless the bodies of a process can be written. Answers those that are asked for.
local function bodies(id, ...)
  local found = redis.pcall('HMGET', P .. 'b:' .. id, ...)
  if found.err then damaged('process ' .. printed(id) .. ': its body is no hash') end
  return found
end

-- Tells one body of a process from another.
local function body_mark(id)
  local b = bodies(id, 'life', 'spec')
  return redis.sha1hex((b[1] or '') .. SEP .. (b[2] or ''))
end

local function queue_moved(id, o, n)
  local h = n or o
  local key, lane = h.key, lane_of(h)
  local before, after = o and o.standing or '', n and n.standing or ''
  local waited, waits, held, holds = before == '0', after == '0', before == '1', after == '1'
  local line = P .. 'q:' .. key .. SEP .. lane
  local member = mark_of(id, h) .. h.queued
  if waited and not waits then call('ZREM', line, member) end
  if waits and (not waited or o.priority ~= n.priority) then
    call('ZADD', line, int(-tonumber(n.priority)), member)
    if call('SADD', P .. 'lanes:' .. key, lane) == 1 then count_lane(lane, 1) end
  end
  if held and not holds then call('ZREM', P .. 'holders:' .. key, id) end
  if holds and not held then call('ZADD', P .. 'holders:' .. key, h.seq, id) end
  if waited ~= waits or (waits and o.priority ~= n.priority) then enlist(key, lane) end
  if held and not holds then opened(key) end
  if (waits or holds) and not (waited or held) then call('ZADD', P .. 'keys', 0, key) end
  if (waited or held) and not (waits or holds)
    and call('EXISTS', P .. 'holders:' .. key, P .. 'lanes:' .. key) == 0 then
    call('ZREM', P .. 'keys', key)
  end
end

-- All indexes -----------------------------------------------------------------------------------------------------------

local function move(was, is, score, member, moved)
  if was == is and not moved then return end
  if was and was ~= is then call('ZREM', P .. was, member) end
  if is then call('ZADD', P .. is, score, member) end
end

local function lives(h) return h and h.standing ~= '3' end

-- The owner of what it holds that began no tree below another.
local function root_holder(h)
  if h and h.owner ~= '' and h.ancestors == '' and h.standing == '1' then return 'roots:' .. h.owner end
  return nil
end

local function under(begin, name) return name and name ~= '' and begin .. name or nil end

-- What stays as it is for as long as the process is there.
local function fixed_indexes(id, h, write)
  local filed = call('HGET', P .. 'b:' .. id, 'filed') or ''
  write('all', h.seq)
  write('ids', 0)
  for label in filed:sub(17):gmatch('[^\n]+') do write('x:' .. label, h.seq) end
  for at = 1, #h.ancestors, 16 do write('x:below:' .. h.ancestors:sub(at, at + 15), h.seq) end
end

-- Moves a process in all indexes. Without an old head it enters, without a new one it leaves; its bodies have to be
-- there in both cases. Whoever had it because it was due has it no more.
local function place(id, o, n)
  local h = n or o
  local seq, mark = h.seq, mark_of(id, h)
  if not o then fixed_indexes(id, h, function(name, score) call('ZADD', P .. name, score, id) end) end
  if not n then fixed_indexes(id, h, function(name) call('ZREM', P .. name, id) end) end
  move(o and 's:' .. o.status, n and 's:' .. n.status, seq, id)
  move(lives(o) and 'live' or nil, lives(n) and 'live' or nil, seq, id)
  if h.ancestors ~= '' then
    local tree = 'tree:' .. h.ancestors:sub(1, 16)
    move(lives(o) and tree or nil, lives(n) and tree or nil, #h.ancestors / 16, id)
  end
  move(under('x:node:', o and o.node), under('x:node:', n and n.node), seq, id)
  move(under('owned:', o and o.owner), under('owned:', n and n.owner), seq, id)
  move(
    under('wished:', o and tonumber(o.wishes) > 0 and o.owner),
    under('wished:', n and tonumber(n.wishes) > 0 and n.owner), seq, id)
  move(root_holder(o), root_holder(n), seq, id)
  move(under('ended', o and o.completed) and 'ended', under('ended', n and n.completed) and 'ended',
    n and n.completed, mark, o and n and o.completed ~= n.completed)
  local was, is = o and due_of(o) or nil, n and due_of(n) or nil
  if was and call('ZSCORE', P .. 'handed', mark) or was ~= is then
    local first = first_due()
    if was then
      call('ZREM', P .. 'handed', mark)
      call('ZREM', P .. 'due', mark)
    end
    if is then call('ZADD', P .. 'due', is, mark) end
    tell_if_earlier(first)
  end
  queue_moved(id, o, n)
end

-- Claims ----------------------------------------------------------------------------------------------------------------

-- The head of a waiter as it is once the node has it, and its event. What a claim makes of it was said when it was
-- written: status, closing, due, and whether the node owns it, for what it does not own runs where it ran before.
local function as_claimed(h, node)
  local n = copy(h)
  local status, closing, due, owned = h.if_claimed:match(IF_CLAIMED)
  n.rev = int(tonumber(h.rev) + 1)
  n.attempt = int(tonumber(h.attempt) + 1)
  n.standing, n.status, n.closing, n.due = '1', status, closing, due
  if owned == '1' then n.owner, n.node = node, node end
  n.if_claimed, n.orphaned = '', ''
  return n, n.attempt .. SEP .. int(now) .. SEP .. node
end

-- Remembers that a key was served just now.
local function serve(key) call('HSET', P .. 'served', key, call('HINCRBY', P .. 'meta', 'claims', 1)) end

-- Records -----------------------------------------------------------------------------------------------------------------

-- One record: id, revision, seq, owner, its epoch, claimed, life, specification, vitals, then number and body of each
-- open wish. Empty if there is none; its id, '!' and what is wrong if it is damaged.
local function record(id)
  local h, fault = sound_head(id)
  if fault then return { id, '!', fault } end
  if not h then return {} end
  local b = redis.pcall('HMGET', P .. 'b:' .. id, 'claimed', 'life', 'spec', 'vitals')
  if b.err then return { id, '!', 'its body is no hash' } end
  if not b[2] or not b[3] then return { id, '!', 'its body is gone' } end
  local row = { id, h.rev, h.seq, h.owner, h.owner ~= '' and epoch_of(h.owner), b[1], b[2], b[3], b[4] }
  if h.wishes ~= '0' or h.standing == '0' then
    local wishes = redis.pcall('LRANGE', P .. 'w:' .. id, 0, -1)
    if wishes.err then return { id, '!', 'its orders are no list' } end
    for _, part in ipairs(wishes) do row[#row + 1] = part end
  end
  return row
end
