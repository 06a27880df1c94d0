-- What every script has: the rows that want a decision, and the queues.

-- Due rows -----------------------------------------------------------------------------------------------------------

-- When a row wants a decision, if nobody owns it; nil if it does not. One whose node was lost does for as long as it
-- holds its slot.
local function due_of(h)
  if h.owner ~= '' then return nil end
  if tonumber(h.pending) > 0 then return h.queued end
  if h.owner_lost ~= '' and (h.due == '' or tonumber(h.owner_lost) < tonumber(h.due)) then return h.owner_lost end
  if h.due ~= '' then return h.due end
  return nil
end

-- When the next row without owner is due: those that are handed out not before their time is over.
local function first_due()
  local due = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')[2]
  local handed = call('ZRANGE', P .. 'leased', 0, 0, 'WITHSCORES')[2]
  due, handed = due and tonumber(due), handed and tonumber(handed)
  if due and handed then return math.min(due, handed) end
  return due or handed
end

-- Nodes set a timer by the first due row, so an earlier one is news.
local function update_if_earlier(before)
  local first = first_due()
  if first and (not before or first < before) then update_all() end
end

-- Hands a due row out until then; its mark is the member of `due`.
local function lease_due(mark, untl)
  call('ZREM', P .. 'due', mark)
  call('ZADD', P .. 'leased', int(untl), mark)
end

-- Takes a row that was handed out back among the due ones.
local function return_due(mark)
  call('ZREM', P .. 'leased', mark)
  local h = sound_head(mark:sub(17))
  local due = h and due_of(h)
  if due then call('ZADD', P .. 'due', due, mark) end
end

-- The queue ----------------------------------------------------------------------------------------------------------
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

local function placement_of(h) return h.class .. SEP .. (h.ancestors == '' and '0' or '1') end

local function served(key)
  local at = call('HGET', P .. 'served', key)
  return at and is_count(at) and at or '0'
end

-- One more key has a waiter in this lane, or one less.
local function count_placement(placement, by)
  if counted('classes', placement, by) <= 0 then call('HDEL', P .. 'classes', placement) end
end

local function remove_full(key, placement)
  if call('SREM', P .. 'full:' .. key, placement) == 1 and call('EXISTS', P .. 'full:' .. key) == 0 then
    call('SREM', P .. 'full', key)
  end
end

-- Makes the entry of a key in a lane right.
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

-- A slot of the key may have become free.
local function refresh_full(key)
  if call('EXISTS', P .. 'full:' .. key) == 0 or not is_open(key) then return end
  local placements = call('SMEMBERS', P .. 'full:' .. key)
  for _, placement in ipairs(placements) do refresh_entry(key, placement) end
end

-- Whether anybody waits, of whatever key.
local function has_waiting() return call('EXISTS', P .. 'classes') == 1 end

local function mark_of(id, h) return pad(h.seq) .. id end

-- Whether one begins or ceases to wait, or waits at another place.
local function is_requeued(o, n)
  local waited, waits = o ~= nil and o.slot_state == '0', n ~= nil and n.slot_state == '0'
  return waited ~= waits or waits and o.priority ~= n.priority
end

-- Ends the script unless a key can be enlisted in a lane.
local function needs_placement(key, placement)
  needs('zset', 'q:' .. key .. SEP .. placement)
  needs('zset', 'ready:' .. placement)
  needs('set', 'placements:' .. key)
end

-- Ends the script unless everything is of its kind that changes when this one begins or ceases to wait or to hold.
local function needs_queue(o, n)
  local h = n or o
  if is_requeued(o, n) then
    needs_placement(h.key, placement_of(h))
  elseif (o and o.slot_state) == (n and n.slot_state) then
    return
  end
  needs('zset', 'holders:' .. h.key)
  needs('set', 'full:' .. h.key)
  -- Whoever waits for its slot is enlisted anew.
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
