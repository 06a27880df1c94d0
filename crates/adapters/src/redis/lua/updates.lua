-- What every script has: who may write, whom to tell, the log, and what was answered to a write before.

-- Leases -------------------------------------------------------------------------------------------------------------

local function epoch_of(node)
  local epoch = redis.pcall('HGET', P .. 'node:' .. node, 'epoch')
  return type(epoch) == 'string' and is_count(epoch) and epoch or '0'
end

-- Whether this is the newest lease of the node.
local function node_is(node, epoch) return call('HGET', P .. 'node:' .. node, 'epoch') == epoch end

-- What a node may do by this lease: nil if it is not its newest, or over; else whether the node takes nothing more in, and
-- what else is asked for.
local function leased(node, epoch, ...)
  local known = call('HMGET', P .. 'node:' .. node, 'epoch', 'until', 'draining', ...)
  if known[1] ~= epoch then return nil end
  -- What is no moment is over; the next sign of life makes it one.
  if known[2] and known[2] ~= '' and not ((tonumber(known[2]) or 0) > now()) then return nil end
  return { is_draining = known[3] == '1', unpack(known, 4) }
end

-- The lease that keeps this author from writing what this node owns, as an answer; nil if nothing does.
local function fenced(owner, node, epoch)
  if owner == '' and node == '' then return nil end
  if node == '' then return { 'fenced', owner, epoch_of(owner) } end
  if (owner == '' or owner == node) and node_is(node, epoch) then return nil end
  return { 'fenced', node, epoch }
end

-- News ---------------------------------------------------------------------------------------------------------------

local has_updates = false

-- Counts in a field of a hash; one that holds no number begins anew.
local function counted(name, field, by)
  local count = redis.pcall('HINCRBY', P .. name, field, by)
  if type(count) == 'number' then return count end
  count = math.max(tonumber(by), 0)
  redis.pcall('HSET', P .. name, field, count)
  return count
end

local function update_all()
  counted('updates', '*', '1')
  has_updates = true
end

local function update_node(node)
  counted('updates', 'n:' .. node, '1')
  has_updates = true
end

-- The node that a class is pinned to; nil for a class of several nodes. A class may begin with the reader that it needs.
local function pinned_to(class) return class:match('^@(.*)$') or class:match('^=reader%d+:@(.*)$') end

-- A waiter concerns those who may run it.
local function update_class(class)
  local node = pinned_to(class)
  if node then update_node(node) else update_all() end
end

-- How often it was rung last stays to be seen: to take each single ring out costs more than a hundred of them.
local function append_notification() return redis.pcall('XADD', P .. 'notify', 'MAXLEN', '~', '100', '*', 'x', '') end

-- Wakes whoever listens, once for all that a script did.
local function notify()
  if not has_updates then return end
  local rung = append_notification()
  -- One that cannot be rung any more is hung anew.
  if type(rung) == 'table' and rung.err then
    call('DEL', P .. 'notify')
    append_notification()
  end
end

-- No place is as high as this: numbers are exact below it.
local MAX_CURSOR = 2 ^ 52

-- The last place in the log, behind which nothing of others would keep events from being appended. What stands where no
-- place can be is taken out.
local function skip_foreign_events(cursor)
  if call('EXISTS', P .. 'ev') == 0 then return cursor end
  repeat
    local strange = call('XRANGE', P .. 'ev', int(MAX_CURSOR), '+', 'COUNT', 100)
    for _, entry in ipairs(strange) do call('XDEL', P .. 'ev', entry[1]) end
  until not strange[1]
  local last = call('XREVRANGE', P .. 'ev', '+', '-', 'COUNT', 1)[1]
  local on = math.max(cursor, last and tonumber(last[1]:match('^%d+')) or 0)
  call('XSETID', P .. 'ev', int(on) .. '-18446744073709551615')
  return on
end

-- Ends the script unless events can be appended; marks that somebody overwrote are found out again.
local function repair_marks()
  needs('stream', 'ev')
  local marks = call('HMGET', P .. 'meta', 'cursor', 'seq', 'claims')
  local function is_lost(mark) return mark and not is_count(mark) end
  if is_lost(marks[1]) then call('HSET', P .. 'meta', 'cursor', int(skip_foreign_events(0))) end
  if is_lost(marks[2]) then
    call('HSET', P .. 'meta', 'seq', int(tonumber(call('ZRANGE', P .. 'all', -1, -1, 'WITHSCORES')[2] or '0')))
  end
  if is_lost(marks[3]) then
    local last = 0
    for _, at in ipairs(call('HGETALL', P .. 'served')) do last = math.max(last, is_count(at) and tonumber(at) or 0) end
    call('HSET', P .. 'meta', 'claims', int(last))
  end
end

-- Counts a mark of the namespace up.
local function counted_up(mark, by)
  local count = redis.pcall('HINCRBY', P .. 'meta', mark, by)
  local is_number = type(count) == 'number'
  if is_number and count >= tonumber(by) and count < 1e15 then return count end
  -- It is judged as it was.
  if is_number then call('HINCRBY', P .. 'meta', mark, '-' .. by) end
  repair_marks()
  return call('HINCRBY', P .. 'meta', mark, by)
end

-- Appends one event. The log is cut at every hundredth place, for to look where it begins takes longer than to append.
local function append_one(place, ...)
  if place % 100 == 0 then
    return redis.pcall('XADD', P .. 'ev', 'MAXLEN', '~', MAX_EVENTS, int(place) .. '-0', ...)
  end
  return redis.pcall('XADD', P .. 'ev', int(place) .. '-0', ...)
end

-- Appends events of one revision, in order, and one of a later revision if there is one. Ends the script if the log is
-- none, so that whoever did not look before appends before it writes anything else.
local function append(id, rev, bodies, later, body)
  local count = later and #bodies + 1 or #bodies
  if count == 0 then return end
  local cursor = counted_up('cursor', int(count)) - count
  for i = 1, count do
    local function add()
      if i > #bodies then return append_one(cursor + i, 'i', id, 'r', later, 'n', '0', 'b', body) end
      return append_one(cursor + i, 'i', id, 'r', rev, 'n', int(i - 1), 'b', bodies[i])
    end
    local added = add()
    if type(added) == 'table' and added.err then
      local is_log, damage = pcall(needs, 'stream', 'ev')
      if not is_log then
        call('HINCRBY', P .. 'meta', 'cursor', int(-count))
        error(damage, 0)
      end
      cursor = skip_foreign_events(cursor)
      call('HSET', P .. 'meta', 'cursor', int(cursor + count))
      added = add()
      if type(added) == 'table' and added.err then error(added.err, 0) end
    end
  end
  has_updates = true
end

-- Writes, where nothing changes, so that whoever waits for replicas waits until they have what was found: it may have
-- been written over another connection. As in `even_if_full`, a server that is full takes it.
local function found()
  call('DEL', P .. 'empty')
  call('HSET', P .. 'meta', 'found', '1')
end

-- Answers to writes --------------------------------------------------------------------------------------------------

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
  return all:sub(-MAX_ANSWERS * ANSWER)
end

-- What was answered before the process was let go.
local function answer_of_tombstone(id, op)
  local tombstone = call('HGET', P .. 'tombstones', id)
  return tombstone and answer_in(tombstone:sub(17), op)
end
