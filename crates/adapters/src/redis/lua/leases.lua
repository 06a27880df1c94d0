-- The leases of nodes: `leases` holds those that have an end, by it, and `lost` the nodes from which something is still
-- to be taken.

-- If nobody at all gave a sign of life for as long as a lease lasts, the server was away rather than the nodes: every
-- lease that nobody has acted upon begins anew.
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

-- A sign of life of a node: its lease lasts from now on.
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

-- An epoch that no lease of this node had. By the server's time it is no smaller than that time, so that it grows even
-- where the server lost its latest writes.
local function next_epoch(node)
  local epoch = tonumber(epoch_of(node)) + 1
  if ARGV[1] == '' then epoch = math.max(epoch, now()) end
  return int(epoch)
end

-- Raises the epoch of a node, so that its last lease is fenced, and leaves what it owns to be taken.
local function mark_lost(node)
  local key = P .. 'node:' .. node
  local ended = call('HGET', key, 'until')
  call('HSET', key, 'epoch', next_epoch(node), 'until', '', 'token', '', 'left', '0',
    'lost', ended and ended ~= '' and ended or int(now()))
  call('ZREM', P .. 'leases', node)
  call('SADD', P .. 'lost', node)
  -- Whoever waits under the older lease has to be told.
  has_updates = true
end

-- The head of what a lost node owned, as it is and as it becomes; nothing if it is not the node's. Ends in an error unless
-- it can be taken.
local function without_owner(node, id)
  local h = head(id)
  if not h or h.owner ~= node then return end
  local n = copy(h)
  n.owner, n.owner_lost = '', int(now())
  needs_place(id, h, n, '')
  return h, n
end

-- Takes from a lost node at most so many rows that it owned: they belong to nobody, are due, and keep their slots until
-- somebody decides. Answers how many there were.
local function disown_some(node, most)
  local owned = call('ZRANGE', P .. 'owned:' .. node, 0, most - 1)
  for _, id in ipairs(owned) do
    local is_sound, h, n = pcall(without_owner, node, id)
    if is_sound and n then
      place(id, h, n)
      save(id, h, n)
    else
      -- One that is damaged keeps nobody from the others.
      call('ZREM', P .. 'owned:' .. node, id)
      if not is_sound then call('HSET', P .. 'quarantine', id, cause(h)) end
    end
  end
  if call('EXISTS', P .. 'owned:' .. node) == 0 then call('SREM', P .. 'lost', node) end
  return #owned
end

-- Takes everything from a lost node.
local function disown_all(node)
  while call('EXISTS', P .. 'owned:' .. node) == 1 do disown_some(node, 100) end
end

-- When the rows of the next node are to be taken, if its lease is not prolonged; nil if there is none that owns any.
local function next_loss(grace)
  if grace == '' then return nil end
  if call('EXISTS', P .. 'lost') == 1 then return now() end
  local known = call('ZRANGE', P .. 'leases', 0, -1, 'WITHSCORES')
  for i = 1, #known, 2 do
    if call('EXISTS', P .. 'owned:' .. known[i]) == 1 then return tonumber(known[i + 1]) + tonumber(grace) end
  end
  return nil
end
