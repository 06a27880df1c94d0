-- Replaces a record if its revision and its owner are as expected.
local ID, OP, NODE, EPOCH, EXPECTED = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local TAKEN, CHILDLESS, LIFE = tonumber(ARGV[7]), ARGV[8] == '1', ARGV[9]
local CHANGES = {
  slot_state = ARGV[10], status = ARGV[11], closing = ARGV[12], attempt = ARGV[13], priority = ARGV[14],
  due = ARGV[15], node = ARGV[16], completed = ARGV[17], if_claimed = ARGV[18],
}
local events = {}
for i = 19, #ARGV do events[#events + 1] = ARGV[i] end

-- Returns the live descendant with the lowest sequence number; nil if there is none.
local function live_below(h)
  local level = #h.ancestors / 16
  local tree = P .. 'tree:' .. (h.ancestors == '' and ID or h.ancestors:sub(1, 16))
  if call('ZCOUNT', tree, '(' .. level, '+inf') == 0 then return nil end
  local from, step = 0, 256
  while true do
    local descendants = call('ZRANGE', P .. 'x:below:' .. ID, from, from + step - 1)
    for _, id in ipairs(descendants) do
      if call('ZSCORE', tree, id) then return id end
    end
    if #descendants < step then return nil end
    from = from + step
  end
end

-- Returns how many pending actions this commit completes.
local function answered(h)
  local open, count = tonumber(h.pending), 0
  while count < open do
    local no = call('LINDEX', P .. 'actions:' .. ID, 2 * count)
    if not no or (tonumber(no) or 0) > TAKEN then break end
    count = count + 1
  end
  return count
end

-- Notifies the nodes for which a freed slot, or freed room on a node, may matter.
local function update_freed(h)
  if h.key ~= '' and slots_of(h.key) and call('EXISTS', P .. 'placements:' .. h.key) == 1 then
    update_all()
  elseif h.owner ~= '' and h.ancestors == '' then
    update_node(h.owner)
  end
end

local function commit()
  local h = head(ID)
  if not h then
    if not policy_version() then return { 'empty' } end
    local before = answer_of_tombstone(ID, OP)
    return before and { 'ok', before } or { 'missing' }
  end
  local b = bodies(ID, 'answers', 'claimed')
  local before = answer_in(b[1], OP)
  if before then return { 'ok', before } end
  -- The revision is checked first: after a concurrent claim, the caller must get `conflict` rather than `fenced`.
  if h.rev ~= EXPECTED then return { 'conflict', h.rev } end
  local refused = fenced(h.owner, NODE, EPOCH)
  if refused then return refused end
  local descendant = CHILDLESS and live_below(h)
  if descendant then return { 'lives', descendant } end
  local n = copy(h)
  for name, value in pairs(CHANGES) do n[name] = value end
  n.rev = int(tonumber(h.rev) + 1)
  n.owner = n.slot_state == '1' and h.owner or ''
  if n.slot_state ~= '1' then n.owner_lost = '' end
  if h.pending ~= '0' then needs('list', 'actions:' .. ID) end
  local done = answered(h)
  n.pending = int(tonumber(h.pending) - done)
  needs_place(ID, h, n, '')
  append(ID, n.rev, events)
  if done > 0 then call('LPOP', P .. 'actions:' .. ID, 2 * done) end
  call('HSET', P .. 'b:' .. ID, 'life', LIFE, 'answers', with_answer(b[1], OP, n.rev))
  if b[2] then call('HDEL', P .. 'b:' .. ID, 'claimed') end
  save(ID, h, n)
  place(ID, h, n)
  if n.slot_state == '0' then update_class(n.class) end
  if h.slot_state == '1' and n.slot_state ~= '1' then update_freed(h) end
  return { 'ok', n.rev }
end

local answer = commit()
notify()
return answer
