-- Assigns the next waiting processes to a node. Order: highest priority, then the key that was served longest ago, then
-- the lowest sequence number, among the keys with a free slot. A repeated call with the same token returns the same
-- processes. ARGV: node, epoch, token, number of root slots, maximum number of processes, then placement classes.
--
-- A waiting process with a damaged record is quarantined: it leaves the queue, and `quarantine` contains the reason
-- under its id until the record is repaired.
local NODE, EPOCH, TOKEN, ROOTS, BATCH = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local OWN = P .. 'node:' .. NODE
-- Maximum number of outdated entries of `ready:` that one call corrects; the node is notified to claim again for the
-- rest.
local repairs_left = 2000

-- Returns the first entry of a placement whose key has a free slot; nil if there is none.
local function first_of(placement)
  while repairs_left > 0 do
    local top = call('ZRANGE', P .. 'ready:' .. placement, 0, 0, 'WITHSCORES')
    if not top[1] then return nil end
    local entry, key = top[1], top[1]:sub(33)
    local is_known = call('HGET', P .. 'at', placement .. SEP .. key) == entry
    local is_sound, open = pcall(is_open, key)
    if is_known and is_sound and open and entry:sub(1, 16) == pad(served(key)) then
      return {
        rank = tonumber(top[2]), served = tonumber(entry:sub(1, 16)), seq = tonumber(entry:sub(17, 32)) or 0,
        line = P .. 'q:' .. key .. SEP .. placement, key = key, placement = placement, entry = entry,
      }
    end
    -- Removes an entry that no script wrote. An entry whose key has damaged data is removed too, so that only this key
    -- waits.
    if not is_known or not is_sound or not pcall(refresh_entry, key, placement) then
      call('ZREM', P .. 'ready:' .. placement, entry)
    end
    repairs_left = repairs_left - 1
  end
  return nil
end

local function precedes(a, b)
  if not b then return true end
  if a.rank ~= b.rank then return a.rank < b.rank end
  if a.served ~= b.served then return a.served < b.served end
  return a.seq < b.seq
end

local function next_one()
  local roots_full = call('ZCARD', P .. 'roots:' .. NODE) >= ROOTS
  local best = nil
  for i = 7, #ARGV do
    for _, child in ipairs(roots_full and { '1' } or { '0', '1' }) do
      local first = first_of(ARGV[i] .. SEP .. child)
      if first and precedes(first, best) then best = first end
    end
  end
  -- The best entry is certain only if every placement was checked.
  return repairs_left > 0 and best or nil
end

-- Returns the header of the first process of a queue before and after the claim, the note about the claim, its life and
-- its spec. Raises an error if data of the process or of its key that a claim needs is damaged.
local function claimable(best, member)
  local id = member:sub(17, 32)
  local h = head(id)
  if not h then damaged('process ' .. printed(id) .. ': the queue contains the process, but it has no record') end
  local is_listed = h.key == best.key and placement_of(h) == best.placement and mark_of(id, h) .. h.queued == member
  if h.slot_state ~= '0' or not is_listed then
    damaged('process ' .. printed(id) .. ': its entry in the queue does not match its record')
  end
  local b = bodies(id, 'life', 'spec')
  if not b[1] or not b[2] then damaged('process ' .. printed(id) .. ': its body is missing') end
  needs('list', 'actions:' .. id)
  local n, said = as_claimed(h, NODE)
  needs_queue(h, n)
  return { was = h, is = n, said = said, life = b[1], spec = b[2] }
end

-- Assigns a process to the node. Returns its record.
local function assign(id, first)
  local h, n, said = first.was, first.is, first.said
  record_service(h.key)
  call('HSET', P .. 'b:' .. id, 'claimed', said)
  call('HDEL', P .. 'b:' .. id, 'live_stats')
  save(id, h, n)
  place(id, h, n)
  append(id, n.rev, { said })
  return record_of(id, n, { said, first.life, first.spec, false })
end

-- Returns the first member of a queue as it is stored.
local function first_in(line)
  local member = call('ZRANGE', line, 0, 0)[1]
  if not member or #member < 33 then damaged('an entry of a queue is not valid') end
  return member
end

-- Removes a damaged process from its queue, so that it blocks no other process, and stores the reason.
local function quarantine(best, member, fault)
  if member then
    redis.pcall('ZREM', best.line, member)
    call('HSET', P .. 'quarantine', member:sub(17, 32), fault)
  end
  -- Entries of a placement that cannot be corrected are removed.
  if not pcall(refresh_entry, best.key, best.placement) then
    call('ZREM', P .. 'ready:' .. best.placement, best.entry)
  end
  repairs_left = repairs_left - 1
end

-- Claims the next process. Returns its id ('' if it was quarantined, nil if there is none) and the part of the reply.
-- Damage of a key that many processes share quarantines no process: it ends the script with an error, or only ends the
-- claim if the reply already contains processes.
local function claim_next(is_answered)
  local best = next_one()
  if not best then return nil end
  local is_there, member = pcall(first_in, best.line)
  if not is_there then
    quarantine(best, nil, '')
    return ''
  end
  local is_sound, found = pcall(claimable, best, member)
  local id = member:sub(17, 32)
  if is_sound then
    local can_move, damage = pcall(each_index, id, found.was, found.is, needs_move)
    if can_move then return id, assign(id, found) end
    if is_answered then return nil end
    error(damage, 0)
  end
  local fault = cause(found)
  quarantine(best, member, fault)
  return '', { id, '!', fault }
end

-- Returns the reply to an earlier call with the same token.
local function claimed_before(ids)
  found()
  local answer = { 'ok' }
  for at = 1, #ids, 16 do
    local row = record(ids:sub(at, at + 15))
    if row[1] then answer[#answer + 1] = row end
  end
  return answer
end

local function claim()
  if not policy_version() then return { 'empty' } end
  local lease = leased(NODE, EPOCH, 'claim', 'claimed')
  if not lease then return { 'fenced', NODE, EPOCH } end
  if lease[1] == TOKEN then return claimed_before(lease[2] or '') end
  local claimed, answer = {}, { 'ok' }
  if lease.is_draining then return answer end
  needs('stream', 'ev')
  while #claimed < BATCH do
    local id, row = claim_next(answer[2] ~= nil)
    if not id then break end
    if id ~= '' then claimed[#claimed + 1] = id end
    answer[#answer + 1] = row
  end
  if repairs_left <= 0 then update_node(NODE) end
  if #claimed > 0 then call('HSET', OWN, 'claim', TOKEN, 'claimed', table.concat(claimed)) end
  return answer
end

local answer = claim()
notify()
return answer
