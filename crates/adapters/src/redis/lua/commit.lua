-- Replaces a record if revision and author fit.
local ID, OP, NODE, EPOCH, EXPECTED = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local TAKEN, CHILDLESS, LIFE = tonumber(ARGV[7]), ARGV[8] == '1', ARGV[9]
local CHANGES = {
  standing = ARGV[10], status = ARGV[11], closing = ARGV[12], attempt = ARGV[13], priority = ARGV[14],
  due = ARGV[15], node = ARGV[16], completed = ARGV[17], if_claimed = ARGV[18],
}
local events = {}
for i = 19, #ARGV do events[#events + 1] = ARGV[i] end

-- The earliest descendant that lives.
local function live_below(h)
  local level = #h.ancestors / 16
  local tree = P .. 'tree:' .. (h.ancestors == '' and ID or h.ancestors:sub(1, 16))
  if call('ZCOUNT', tree, '(' .. level, '+inf') == 0 then return nil end
  local from, step = 0, 256
  while true do
    local family = call('ZRANGE', P .. 'x:below:' .. ID, from, from + step - 1)
    for _, id in ipairs(family) do
      if call('ZSCORE', tree, id) then return id end
    end
    if #family < step then return nil end
    from = from + step
  end
end

-- Lets go of the wishes that are answered, and says how many stay open.
local function taken(h)
  local open = tonumber(h.wishes)
  while open > 0 do
    local first = call('LINDEX', P .. 'w:' .. ID, 0)
    if not first or (tonumber(first) or 0) > TAKEN then break end
    call('LPOP', P .. 'w:' .. ID, 2)
    open = open - 1
  end
  return int(open)
end

-- Who may have been waiting for the slot, or for the room on its node, that became free.
local function tell_of_freed(h)
  if h.key ~= '' and slots_of(h.key) and call('EXISTS', P .. 'lanes:' .. h.key) == 1 then
    news_all()
  elseif h.owner ~= '' and h.ancestors == '' then
    news_for(h.owner)
  end
end

local function commit()
  if not policy_version() then return { 'empty' } end
  local h = head(ID)
  if not h then
    local before = answer_after_sweep(ID, OP)
    return before and { 'ok', before } or { 'missing' }
  end
  local b = bodies(ID, 'answers', 'claimed')
  local before = answer_in(b[1], OP)
  if before then return { 'ok', before } end
  -- First, because whoever decided on an old record may only have been overtaken by a claim.
  if h.rev ~= EXPECTED then return { 'conflict', h.rev } end
  local refused = fenced(h.owner, NODE, EPOCH)
  if refused then return refused end
  local descendant = CHILDLESS and live_below(h)
  if descendant then return { 'lives', descendant } end
  local n = copy(h)
  for name, value in pairs(CHANGES) do n[name] = value end
  n.rev = int(tonumber(h.rev) + 1)
  n.owner = n.standing == '1' and h.owner or ''
  if n.standing ~= '1' then n.orphaned = '' end
  mend_marks()
  needs('list', 'w:' .. ID)
  if n.standing ~= h.standing or n.priority ~= h.priority then needs_queue(n) end
  if n.status ~= h.status then needs_indexes(n, '') end
  n.wishes = taken(h)
  call('HSET', P .. 'b:' .. ID, 'life', LIFE, 'answers', with_answer(b[1], OP, n.rev))
  if b[2] then call('HDEL', P .. 'b:' .. ID, 'claimed') end
  save(ID, h, n)
  place(ID, h, n)
  append(ID, n.rev, events)
  if n.standing == '0' then news_of_waiter(n.class) end
  if h.standing == '1' and n.standing ~= '1' then tell_of_freed(h) end
  return { 'ok', n.rev }
end

local answer = commit()
ring()
return answer
