-- Third part of every script: due processes and queues.

-- Due rows -----------------------------------------------------------------------------------------------------------

-- Returns the time at which a process without an owner is due for a decision; nil if it is not due. A process whose
-- node was lost is due as long as it holds its slot.
local function due_of(h)
  if h.owner ~= '' then return nil end
  if tonumber(h.pending) > 0 then return h.queued end
  if h.owner_lost ~= '' and (h.due == '' or tonumber(h.owner_lost) < tonumber(h.due)) then return h.owner_lost end
  if h.due ~= '' then return h.due end
  return nil
end

-- Returns the time at which the next process without an owner is due. A leased process counts from the end of its
-- lease.
local function first_due()
  local due = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2]
  local handed = call('ZRANGE', P .. 'leased', 0, 0, 'WITHSCORES')[2]
  due, handed = due and tonumber(due), handed and tonumber(handed)
  if due and handed then return math.min(due, handed) end
  return due or handed
end

-- Notifies all nodes if the first due time is now earlier than before, because nodes set a timer for it.
local function update_if_earlier(before)
  local first = first_due()
  if first and (not before or first < before) then update_all() end
end

-- Leases a due process until the given time. `mark` is its member in `due`.
local function lease_due(mark, untl)
  call('ZREM', P .. 'due', mark)
  call('ZADD', P .. 'leased', int(untl), mark)
end

-- Ends the lease of a due process.
local function return_due(mark)
  call('ZREM', P .. 'leased', mark)
  local h = sound_head(mark:sub(17))
  local due = h and due_of(h)
  if due then call('ZADD', P .. 'due', due, mark) end
end

--
-- The waiting processes of a key are divided into placements. A placement is a placement class, and the information
-- whether the processes are roots.
-- - `q:<key> <placement>`: the waiting processes, by priority, then by sequence number.
-- - `ready:<placement>`: the keys with a waiting process and a free slot, by the priority of the first process, then by
--   the time at which the key was last served, then by sequence number. `at` contains the entry of each key.
-- - `full:<key>`: the placements of a key without a free slot. `full`: the keys that have such placements.
-- - `classes`: for each placement, the number of keys with a waiting process.
--
-- An entry in `ready:` is correct when it is written and after each change of its own placement. After a change in
-- another placement, the entry can only be too early; a claim corrects the entry when it reaches the entry. The cost of
-- a write therefore does not depend on the number of placements.

local policy

-- Returns the version of the policy; nil if the namespace was never opened or was emptied.
local function policy_version()
  if not policy then policy = call('HMGET', P .. 'policy', 'version', 'default', 'lens') end
  return policy[1]
end

-- Returns the number of slots of a key: by its name, else by the longest pattern, else the default; nil means no limit.
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
  -- While the number of slots is unknown, no slot is free.
  if not slots then return 0 end
  if slots > 0 then return slots end
  return nil
end

local function is_held(key) return key ~= '' and call('HEXISTS', P .. 'held', key) == 1 end

-- Returns true if a process of this key may start now.
local function is_open(key)
  if key == '' then return true end
  if is_held(key) then return false end
  local slots = slots_of(key)
  return not slots or call('ZCARD', P .. 'holders:' .. key) < slots
end

local function placement_of(h) return h.class .. SEP .. (h.ancestors == '' and '0' or '1') end

local function served(key)
  local at = call('HGET', P .. 'served', key)
  return at and is_count(at) and at or '0'
end

-- Adds `by` to the number of keys that have a waiting process in a placement.
local function count_placement(placement, by)
  if counted('classes', placement, by) <= 0 then call('HDEL', P .. 'classes', placement) end
end

local function remove_full(key, placement)
  if call('SREM', P .. 'full:' .. key, placement) == 1 and call('EXISTS', P .. 'full:' .. key) == 0 then
    call('SREM', P .. 'full', key)
  end
end

-- Corrects the entry of a key in a placement.
local function refresh_entry(key, placement)
  local first = call('ZRANGE', P .. 'q:' .. key .. SEP .. placement, 0, 0, 'WITHSCORES')
  local place = placement .. SEP .. key
  local was = call('HGET', P .. 'at', place)
  local is = nil
  if not first[1] then
    if call('SREM', P .. 'placements:' .. key, placement) == 1 then count_placement(placement, '-1') end
    remove_full(key, placement)
  elseif is_open(key) then
    is = pad(served(key)) .. first[1]:sub(1, 16) .. key
    remove_full(key, placement)
  else
    call('SADD', P .. 'full:' .. key, placement)
    call('SADD', P .. 'full', key)
  end
  if was and was ~= is then
    call('ZREM', P .. 'ready:' .. placement, was)
    if not is then call('HDEL', P .. 'at', place) end
  end
  if is then
    call('ZADD', P .. 'ready:' .. placement, first[2], is)
    if was ~= is then call('HSET', P .. 'at', place, is) end
  end
end

-- Refreshes a key whose slots may have become free.
local function refresh_full(key)
  if call('EXISTS', P .. 'full:' .. key) == 0 or not is_open(key) then return end
  local placements = call('SMEMBERS', P .. 'full:' .. key)
  for _, placement in ipairs(placements) do refresh_entry(key, placement) end
end

-- Returns true if any process is waiting.
local function has_waiting() return call('EXISTS', P .. 'classes') == 1 end

local function mark_of(id, h) return pad(h.seq) .. id end

-- Returns true if a process starts or ceases to wait, or waits with another priority.
local function is_requeued(o, n)
  local waited, waits = o ~= nil and o.slot_state == '0', n ~= nil and n.slot_state == '0'
  return waited ~= waits or waits and o.priority ~= n.priority
end

-- Ends the script unless `refresh_entry` would succeed.
local function needs_placement(key, placement)
  needs('zset', 'q:' .. key .. SEP .. placement)
  needs('zset', 'ready:' .. placement)
  needs('set', 'placements:' .. key)
end

-- Ends the script unless all keys have the right type that change when a process starts or ceases to wait or to hold a
-- slot.
local function needs_queue(o, n)
  local h = n or o
  if is_requeued(o, n) then
    needs_placement(h.key, placement_of(h))
  elseif (o and o.slot_state) == (n and n.slot_state) then
    return
  end
  needs('zset', 'holders:' .. h.key)
  needs('set', 'full:' .. h.key)
  -- A freed slot refreshes the placements that wait for it.
  if o and o.slot_state == '1' and not (n and n.slot_state == '1') then
    for _, placement in ipairs(call('SMEMBERS', P .. 'full:' .. h.key)) do needs_placement(h.key, placement) end
  end
end

local function queue_moved(id, o, n)
  local h = n or o
  local key = h.key
  local before, after = o and o.slot_state or '', n and n.slot_state or ''
  local waited, waits, held, holds = before == '0', after == '0', before == '1', after == '1'
  local is_moved = is_requeued(o, n)
  if is_moved then
    local placement = placement_of(h)
    local line, member = P .. 'q:' .. key .. SEP .. placement, mark_of(id, h) .. h.queued
    if waits then
      call('ZADD', line, int(-tonumber(n.priority)), member)
      if call('SADD', P .. 'placements:' .. key, placement) == 1 then count_placement(placement, '1') end
    else
      call('ZREM', line, member)
    end
  end
  if held and not holds then call('ZREM', P .. 'holders:' .. key, id) end
  if holds and not held then call('ZADD', P .. 'holders:' .. key, h.seq, id) end
  if is_moved then refresh_entry(key, placement_of(h)) end
  if held and not holds then refresh_full(key) end
  if (waits or holds) and not (waited or held) then call('ZADD', P .. 'keys', '0', key) end
  if (waited or held) and not (waits or holds)
    and call('EXISTS', P .. 'holders:' .. key, P .. 'placements:' .. key) == 0 then
    call('ZREM', P .. 'keys', key)
  end
end
