-- Gives a node its best waiters: the order is the highest priority, then the key that was served longest ago, then the
-- lowest seq, among the keys with a free slot. The same token again gives the same processes again.
--
-- A waiter that is damaged is set aside: it stands in the queue no more, and the field of its id in `aside` says why, until
-- it was mended.
local NODE, EPOCH, TOKEN, ROOTS, BATCH = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local OWN = P .. 'node:' .. NODE
-- So many entries that stand too early are mended by one claim; what is left over is called for again.
local mendings = 2000

-- The first key of a lane with a free slot.
local function first_of(lane)
  while mendings > 0 do
    local top = call('ZRANGE', P .. 'ready:' .. lane, 0, 0, 'WITHSCORES')
    if not top[1] then return nil end
    local entry, key = top[1], top[1]:sub(33)
    local is_known = call('HGET', P .. 'at', lane .. SEP .. key) == entry
    local is_sound, open = pcall(is_open, key)
    if is_known and is_sound and open and entry:sub(1, 16) == pad(served(key)) then
      return {
        urgency = tonumber(top[2]), served = tonumber(entry:sub(1, 16)), seq = tonumber(entry:sub(17, 32)) or 0,
        line = P .. 'q:' .. key .. SEP .. lane, key = key, lane = lane, entry = entry,
      }
    end
    -- What nobody made does not lead to anybody, and a key that is damaged keeps its own waiters only.
    if not is_known or not is_sound or not pcall(enlist, key, lane) then call('ZREM', P .. 'ready:' .. lane, entry) end
    mendings = mendings - 1
  end
  return nil
end

local function goes_before(a, b)
  if not b then return true end
  if a.urgency ~= b.urgency then return a.urgency < b.urgency end
  if a.served ~= b.served then return a.served < b.served end
  return a.seq < b.seq
end

local function next_one()
  local roots_full = call('ZCARD', P .. 'roots:' .. NODE) >= ROOTS
  local best = nil
  for i = 7, #ARGV do
    for _, child in ipairs(roots_full and { '1' } or { '0', '1' }) do
      local first = first_of(ARGV[i] .. SEP .. child)
      if first and goes_before(first, best) then best = first end
    end
  end
  -- Whoever is best is known only once every lane was looked at.
  return mendings > 0 and best or nil
end

-- Whoever stands first: its head as it is and as it becomes, what is said of that, its life and its specification. Ends
-- in an error unless all of it and of its key is sound that a claim needs.
local function claimable(best, member)
  local id = member:sub(17, 32)
  local h = head(id)
  if not h then damaged('process ' .. printed(id) .. ': it stands in the queue, and there is no record of it') end
  if h.standing ~= '0' or h.key ~= best.key or lane_of(h) ~= best.lane or mark_of(id, h) .. h.queued ~= member then
    damaged('process ' .. printed(id) .. ': it stands in the queue as what it is not')
  end
  local b = bodies(id, 'life', 'spec')
  if not b[1] or not b[2] then damaged('process ' .. printed(id) .. ': its body is gone') end
  needs('list', 'w:' .. id)
  local n, said = as_claimed(h, NODE)
  needs_queue(h, n)
  return { was = h, is = n, said = said, life = b[1], spec = b[2] }
end

-- Gives it to the node. Answers its record.
local function hand_over(id, first)
  local h, n, said = first.was, first.is, first.said
  serve(h.key)
  call('HSET', P .. 'b:' .. id, 'claimed', said)
  call('HDEL', P .. 'b:' .. id, 'vitals')
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
local function set_aside(best, member, fault)
  if member then
    redis.pcall('ZREM', best.line, member)
    call('HSET', P .. 'aside', member:sub(17, 32), fault)
  end
  -- What cannot be mended leads nobody there any more.
  if not pcall(enlist, best.key, best.lane) then call('ZREM', P .. 'ready:' .. best.lane, best.entry) end
  mendings = mendings - 1
end

-- Gives the node the next one: its id, '' if that was set aside, nil if there is none. The second is what to answer.
-- Where what many share is damaged nobody is set aside for it: it ends the script, or the claim if there is something to
-- answer already.
local function claim_next(is_answered)
  local best = next_one()
  if not best then return nil end
  local is_there, member = pcall(first_in, best.line)
  if not is_there then
    set_aside(best, nil, '')
    return ''
  end
  local is_sound, found = pcall(claimable, best, member)
  local id = member:sub(17, 32)
  if is_sound then
    local can_move, damage = pcall(each_index, id, found.was, found.is, needs_move)
    if can_move then return id, hand_over(id, found) end
    if is_answered then return nil end
    error(damage, 0)
  end
  local fault = cause(found)
  set_aside(best, member, fault)
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
  if mendings <= 0 then news_for(NODE) end
  if #claimed > 0 then call('HSET', OWN, 'claim', TOKEN, 'claimed', table.concat(claimed)) end
  return answer
end

local answer = claim()
ring()
return answer
