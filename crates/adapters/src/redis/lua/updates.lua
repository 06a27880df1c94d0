-- Second part of every script: leases, notification of nodes, the event log, and replies to earlier operations.

-- Leases -------------------------------------------------------------------------------------------------------------

local function epoch_of(node)
  local epoch = redis.pcall('HGET', P .. 'node:' .. node, 'epoch')
  return type(epoch) == 'string' and is_count(epoch) and epoch or '0'
end

-- Returns true if this is the newest lease of the node.
local function node_is(node, epoch) return call('HGET', P .. 'node:' .. node, 'epoch') == epoch end

-- Returns whether the node is draining and the values of further fields; nil if the lease is outdated or has expired.
local function leased(node, epoch, ...)
  local known = call('HMGET', P .. 'node:' .. node, 'epoch', 'until', 'draining', ...)
  if known[1] ~= epoch then return nil end
  -- A damaged lease end counts as expired; the next lease renewal repairs it.
  if known[2] and known[2] ~= '' and not ((tonumber(known[2]) or 0) > now()) then return nil end
  return { is_draining = known[3] == '1', unpack(known, 4) }
end

-- Returns a `fenced` reply if this lease does not allow the author to write a process with this owner; otherwise nil.
local function fenced(owner, node, epoch)
  if owner == '' and node == '' then return nil end
  if node == '' then return { 'fenced', owner, epoch_of(owner) } end
  if (owner == '' or owner == node) and node_is(node, epoch) then return nil end
  return { 'fenced', node, epoch }
end

-- News ---------------------------------------------------------------------------------------------------------------

local has_updates = false

-- Adds to a counter in a hash. A damaged counter starts again.
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

-- Returns the node of a class that allows one node only; nil for other classes. A class may start with a reader
-- version.
local function pinned_to(class) return class:match('^@(.*)$') or class:match('^=reader%d+:@(.*)$') end

-- Notifies the nodes that may run a waiting process of this class.
local function update_class(class)
  local node = pinned_to(class)
  if node then update_node(node) else update_all() end
end

-- Appends a notification. About 100 notifications are kept: trimming to an exact length at each call is much slower.
local function append_notification() return redis.pcall('XADD', P .. 'notify', 'MAXLEN', '~', '100', '*', 'x', '') end

-- Wakes all listening nodes, once for all changes of a script.
local function notify()
  if not has_updates then return end
  local rung = append_notification()
  -- A key of another type is replaced.
  if type(rung) == 'table' and rung.err then
    call('DEL', P .. 'notify')
    append_notification()
  end
end

-- Upper bound of event cursors: Lua numbers are exact below it.
local MAX_CURSOR = 2 ^ 52

-- Returns a cursor after all events, including events that another program appended, so that new events can be
-- appended. Removes events with an impossible cursor.
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

-- Ends the script unless events can be appended. Recomputes counters that another program has overwritten.
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

-- Increments a counter of the namespace and returns the new value.
local function counted_up(mark, by)
  local count = redis.pcall('HINCRBY', P .. 'meta', mark, by)
  local is_number = type(count) == 'number'
  if is_number and count >= tonumber(by) and count < 1e15 then return count end
  -- The increment is undone first, so that the check sees the stored value.
  if is_number then call('HINCRBY', P .. 'meta', mark, '-' .. by) end
  repair_marks()
  return call('HINCRBY', P .. 'meta', mark, by)
end

-- Appends one event. The log is trimmed at every hundredth event, because trimming takes longer than appending.
local function append_one(place, ...)
  if place % 100 == 0 then
    return redis.pcall('XADD', P .. 'ev', 'MAXLEN', '~', MAX_EVENTS, int(place) .. '-0', ...)
  end
  return redis.pcall('XADD', P .. 'ev', int(place) .. '-0', ...)
end

-- Appends events of one revision, in order, and optionally one event of a later revision. Ends the script if the log
-- has the wrong type; a script without earlier checks therefore appends before its other writes.
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

-- Performs a write that changes nothing, so that the caller waits until replicas have the data that was found: that
-- data may have been written over another connection. Like `oom_exempt`, works when the server's memory is full.
local function found()
  call('DEL', P .. 'empty')
  call('HSET', P .. 'meta', 'found', '1')
end

-- Answers to writes --------------------------------------------------------------------------------------------------

-- Returns the earlier reply to an operation as a text; nil if it is unknown.
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

-- Returns the earlier reply to an operation on a pruned process; nil if it is unknown.
local function answer_of_tombstone(id, op)
  local tombstone = call('HGET', P .. 'tombstones', id)
  return tombstone and answer_in(tombstone:sub(17), op)
end
