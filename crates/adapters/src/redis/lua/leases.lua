-- Leases of nodes. `leases` contains the leases that expire, by the time of their end. `lost` contains the lost nodes
-- that still own processes.

-- Extends all leases after an outage of the server. If no node renewed its lease for as long as a lease lasts, the
-- server was unreachable rather than all nodes, so every lease that was not acted upon starts again.
local function extend_after_outage(lasts)
  if lasts == '' then return end
  local heard = call('HGET', P .. 'meta', 'heard')
  if not heard or now() - (tonumber(heard) or 0) <= tonumber(lasts) then return end
  call('HSET', P .. 'meta', 'heard', int(now()))
  local anew = now() + tonumber(lasts)
  local known = call('ZRANGE', P .. 'leases', 0, -1, 'WITHSCORES')
  for i = 1, #known, 2 do
    if tonumber(known[i + 1]) < anew then
      redis.pcall('HSET', P .. 'node:' .. known[i], 'until', int(anew))
      call('ZADD', P .. 'leases', int(anew), known[i])
    end
  end
end

-- Renews the lease of a node from now on.
local function renew_lease(node, lasts)
  call('HSET', P .. 'meta', 'heard', int(now()))
  if lasts == '' then
    call('ZREM', P .. 'leases', node)
    call('HSET', P .. 'node:' .. node, 'until', '')
  else
    local lasts_until = int(now() + tonumber(lasts))
    call('HSET', P .. 'node:' .. node, 'until', lasts_until)
    call('ZADD', P .. 'leases', lasts_until, node)
  end
end

-- Returns a new epoch for a node. With the server's time, the epoch is at least that time, so that epochs grow even if
-- the server lost its latest writes.
local function next_epoch(node)
  local epoch = tonumber(epoch_of(node)) + 1
  if ARGV[1] == '' then epoch = math.max(epoch, now()) end
  return int(epoch)
end

-- Marks a node as lost. Its epoch is raised, which fences its last lease, and its processes remain to be disowned.
local function mark_lost(node)
  local key = P .. 'node:' .. node
  local ended = call('HGET', key, 'until')
  call('HSET', key, 'epoch', next_epoch(node), 'until', '', 'token', '', 'left', '0',
    'lost', ended and ended ~= '' and ended or int(now()))
  call('ZREM', P .. 'leases', node)
  call('SADD', P .. 'lost', node)
  -- Callers that wait under the old lease must learn that it is fenced.
  has_updates = true
end

-- Returns the header of a process of a lost node before and after it loses its owner; nothing if the node does not own
-- the process. Raises an error if the process cannot be changed.
local function without_owner(node, id)
  local h = head(id)
  if not h or h.owner ~= node then return end
  local n = copy(h)
  n.owner, n.owner_lost = '', int(now())
  needs_place(id, h, n, '')
  return h, n
end

-- Removes the lost node as the owner of at most `most` processes. They become due and keep their slots until a decision
-- is made. Returns how many processes were handled.
local function disown_some(node, most)
  local owned = call('ZRANGE', P .. 'owned:' .. node, 0, most - 1)
  for _, id in ipairs(owned) do
    local is_sound, h, n = pcall(without_owner, node, id)
    if is_sound and n then
      place(id, h, n)
      save(id, h, n)
    else
      -- A damaged process does not block the others.
      call('ZREM', P .. 'owned:' .. node, id)
      if not is_sound then call('HSET', P .. 'quarantine', id, cause(h)) end
    end
  end
  if call('EXISTS', P .. 'owned:' .. node) == 0 then call('SREM', P .. 'lost', node) end
  return #owned
end

-- Removes a lost node as the owner of all its processes.
local function disown_all(node)
  while call('EXISTS', P .. 'owned:' .. node) == 1 do disown_some(node, 100) end
end

-- Returns the time at which the processes of the next node have to be taken if its lease is not renewed; nil if no node
-- with an expiring lease owns a process.
local function next_loss(grace)
  if grace == '' then return nil end
  if call('EXISTS', P .. 'lost') == 1 then return now() end
  local known = call('ZRANGE', P .. 'leases', 0, -1, 'WITHSCORES')
  for i = 1, #known, 2 do
    if call('EXISTS', P .. 'owned:' .. known[i]) == 1 then return tonumber(known[i + 1]) + tonumber(grace) end
  end
  return nil
end
