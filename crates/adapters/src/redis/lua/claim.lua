-- Gives a node its best waiters: the order is the highest priority, then the key that was served longest ago, then the
-- lowest seq, among the keys with a free slot. The same token again gives the same processes again.
--
-- A waiter that is damaged is set aside: it stands in the queue no more, and the field of its id in `aside` says why, until
-- it was mended.
local NODE, EPOCH, TOKEN, ROOTS, BATCH = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local OWN = P .. 'node:' .. NODE
-- So many entries that stand too early are mended by one claim; what is left over is called for again.
local repairs_left = 2000

-- The first key of a lane with a free slot.
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
    -- What nobody made does not lead to anybody, and a key that is damaged keeps its own waiters only.
    if not is_known or not is_sound or not pcall(refresh_entry, key, placement) then call('ZREM', P .. 'ready:' .. placement, entry) end
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
  -- Whoever is best is known only once every lane was looked at.
  return repairs_left > 0 and best or nil
end

-- Whoever stands first: its head as it is and as it becomes, what is said of that, its life and its specification. Ends
-- in an error unless all of it and of its key is sound that a claim needs.
local function claimable(best, member)
  local id = member:sub(17, 32)
  local h = head(id)
  if not h then damaged('process ' .. printed(id) .. ': it stands in the queue, and there is no record of it') end
  if h.slot_state ~= '0' or h.key ~= best.key or placement_of(h) ~= best.placement or mark_of(id, h) .. h.queued ~= member then
    damaged('process ' .. printed(id) .. ': it stands in the queue as what it is not')
  end
  local b = bodies(id, 'life', 'spec')
  if not b[1] or not b[2] then damaged('process ' .. printed(id) .. ': its body is gone') end
  needs('list', 'actions:' .. id)
  local n, said = as_claimed(h, NODE)
  needs_queue(h, n)
  return { was = h, is = n, said = said, life = b[1], spec = b[2] }
end

-- Gives it to the node. Answers its record.
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

-- Whoever stands first in a line, as it stands there.
local function first_in(line)
  local member = call('ZRANGE', line, 0, 0)[1]
  if not member or #member < 33 then damaged('nobody stands where somebody should') end
  return member
end

-- Takes whoever is damaged out of its line, so that it holds up nobody, and remembers why.
local function quarantine(best, member, fault)
  if member then
    redis.pcall('ZREM', best.line, member)
    call('HSET', P .. 'quarantine', member:sub(17, 32), fault)
  end
  -- What cannot be mended leads nobody there any more.
  if not pcall(refresh_entry, best.key, best.placement) then call('ZREM', P .. 'ready:' .. best.placement, best.entry) end
  repairs_left = repairs_left - 1
end

-- Gives the node the next one: its id, '' if that was set aside, nil if there is none. The second is what to answer.
-- Where what many share is damaged nobody is set aside for it: it ends the script, or the claim if there is something to
-- answer already.
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

-- What the same claim was answered before.
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
