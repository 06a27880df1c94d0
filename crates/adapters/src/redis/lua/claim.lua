-- Gives a node its best waiters: the order is the highest priority, then the key that was served longest ago, then the
-- lowest seq, among the keys with a free slot. The same token again gives the same processes again.
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
    if entry:sub(1, 16) == pad(served(key)) and is_open(key) then
      return {
        urgency = tonumber(top[2]), served = tonumber(entry:sub(1, 16)), seq = tonumber(entry:sub(17, 32)),
        line = P .. 'q:' .. key .. SEP .. lane, key = key,
      }
    end
    enlist(key, lane)
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

local function hand_over(best)
  local id = call('ZRANGE', best.line, 0, 0)[1]:sub(17, 32)
  local h = head(id)
  local n, said = as_claimed(h, NODE)
  call('HSET', P .. 'b:' .. id, 'claimed', said)
  call('HDEL', P .. 'b:' .. id, 'vitals')
  serve(h.key)
  save(id, h, n)
  place(id, h, n)
  append(id, n.rev, { said })
  return id
end

local function claim()
  if not policy_version() then return { 'empty' } end
  if not leased(NODE, EPOCH) then return { 'fenced', NODE, EPOCH } end
  local last = call('HMGET', OWN, 'claim', 'claimed')
  local claimed = {}
  if last[1] == TOKEN then
    for at = 1, #last[2], 16 do
      claimed[#claimed + 1] = last[2]:sub(at, at + 15)
    end
  elseif not is_draining(NODE) then
    while #claimed < BATCH do
      local best = next_one()
      if not best then break end
      claimed[#claimed + 1] = hand_over(best)
    end
    if mendings == 0 then news_for(NODE) end
    if #claimed > 0 then call('HSET', OWN, 'claim', TOKEN, 'claimed', table.concat(claimed)) end
  end
  local answer = { 'ok' }
  for _, id in ipairs(claimed) do
    local row = record(id)
    if row[1] then answer[#answer + 1] = row end
  end
  return answer
end

local answer = claim()
ring()
return answer
