-- Accepts a new process, and claims it at once for the submitting node if possible.
local ID, LAUNCH, LAUNCH_PRINT = ARGV[2], ARGV[3], ARGV[4]
local POLICY, SLOTS, DEEPEST, PER_LEVEL = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local NODE, EPOCH, ROOTS, OR_REFUSE = ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12] == '1'
local LIFE, SPEC, LABELS, PRINT = ARGV[13], ARGV[14], ARGV[15], ARGV[16]
local n = {
  rev = '1', owner = '', owner_lost = '', action_seq = '0', pending = '0',
  slot_state = ARGV[17], status = ARGV[18], closing = ARGV[19], attempt = ARGV[20], key = ARGV[21], class = ARGV[22],
  priority = ARGV[23], due = ARGV[24], ancestors = ARGV[25], node = ARGV[26], queued = ARGV[27],
  completed = ARGV[28], if_claimed = ARGV[29],
}
local events = {}
for i = 30, #ARGV do events[#events + 1] = ARGV[i] end

-- Returns the reply for a known id, or for a launch key that was already used in the same session; nil otherwise.
local function existing()
  local row = record(ID)
  if row[1] then
    found()
    return { 'existing', ID, '', row }
  end
  local tombstone = call('HGET', P .. 'tombstones', ID)
  if tombstone then return { 'existing', ID, tombstone:sub(1, 16) == PRINT and '1' or '0', {} } end
  local launched = LAUNCH ~= '' and call('HGET', P .. 'launch', LAUNCH)
  if not launched then return nil end
  local id = launched:sub(1, 16)
  found()
  return { 'existing', id, launched:sub(17) == LAUNCH_PRINT and '1' or '0', record(id) }
end

local function is_ancestor(id)
  for at = 1, #n.ancestors, 16 do
    if n.ancestors:sub(at, at + 15) == id then return true end
  end
  return false
end

local function refused_by_tree()
  if n.ancestors == '' then return nil end
  local parent = n.ancestors:sub(-16)
  if call('EXISTS', P .. 'p:' .. parent) == 0 then return { 'parentless', parent } end
  for at = 1, #n.ancestors, 16 do
    local ancestor = n.ancestors:sub(at, at + 15)
    -- A distant ancestor that is missing was pruned, so it had ended.
    local closing = call('HGET', P .. 'p:' .. ancestor, 'closing') or '0'
    if closing == '2' or (closing == '1' and ancestor == parent) then return { 'closing', ancestor } end
  end
  local level = #n.ancestors / 16
  if level > DEEPEST then return { 'deep' } end
  local live = call('ZCOUNT', P .. 'tree:' .. n.ancestors:sub(1, 16), level, level)
  if live >= PER_LEVEL then return { 'level', live } end
  return nil
end

local function holders() return n.key ~= '' and call('ZRANGE', P .. 'holders:' .. n.key, 0, -1) or {} end

local function refused_by_ancestors()
  if n.key == '' or not SLOTS or (n.slot_state ~= '0' and n.due == '') then return nil end
  local taken = call('ZCARD', P .. 'holders:' .. n.key)
  if taken < SLOTS or taken > #n.ancestors / 16 then return nil end
  local all = holders()
  for _, holder in ipairs(all) do
    if not is_ancestor(holder) then return nil end
  end
  return { 'starved', all }
end

-- Returns true if this node may run another waiting process of the same key that comes first.
local function is_behind(roots_full)
  for _, placement in ipairs(call('SMEMBERS', P .. 'placements:' .. n.key)) do
    local class, child = placement:sub(1, -3), placement:sub(-1)
    local elsewhere = (pinned_to(class) or NODE) ~= NODE
    if not elsewhere and not (roots_full and child == '0') then
      local first = call('ZRANGE', P .. 'q:' .. n.key .. SEP .. placement, 0, 0, 'WITHSCORES')
      if first[1] and -tonumber(first[2]) >= tonumber(n.priority) then return true end
    end
  end
  return false
end

-- Returns what prevents an immediate claim: 'key' or 'roots'; nil if nothing does.
local function obstacle(lease)
  if NODE == '' or (pinned_to(n.class) or NODE) ~= NODE then return 'key' end
  if lease.is_draining or is_held(n.key) then return 'key' end
  if n.key ~= '' and SLOTS and call('ZCARD', P .. 'holders:' .. n.key) >= SLOTS then return 'key' end
  local roots_full = call('ZCARD', P .. 'roots:' .. NODE) >= ROOTS
  if roots_full and n.ancestors == '' then return 'roots' end
  return is_behind(roots_full) and 'key' or nil
end

local function submit()
  if not policy_version() then return { 'empty' } end
  local known = existing()
  if known then return known end
  local lease = NODE ~= '' and leased(NODE, EPOCH)
  if lease == nil then return { 'fenced', NODE, EPOCH } end
  if POLICY < tonumber(policy_version()) then return { 'stale', policy_version() } end
  local refused = refused_by_tree() or refused_by_ancestors()
  if refused then return refused end
  local waits = n.slot_state == '0'
  local blocked = waits and obstacle(lease)
  if blocked and OR_REFUSE then
    if blocked == 'key' then return { 'slotless', n.key, holders() } end
    return { 'slotless', '', call('ZRANGE', P .. 'roots:' .. NODE, 0, -1) }
  end
  local claimed, said
  if waits and not blocked then claimed, said = as_claimed(n, NODE) end
  needs_place(ID, nil, claimed or n, LABELS)
  n.seq = int(counted_up('seq', '1'))
  append(ID, '1', events, claimed and claimed.rev, said)
  if LAUNCH ~= '' then call('HSET', P .. 'launch', LAUNCH, ID .. LAUNCH_PRINT) end
  if claimed then
    claimed.seq = n.seq
    call('HSET', P .. 'b:' .. ID, 'life', LIFE, 'spec', SPEC, 'labels', PRINT .. LABELS, 'claimed', said)
    record_service(n.key)
    save(ID, nil, claimed)
    place(ID, nil, claimed)
    return { 'claimed', n.seq, said }
  end
  call('HSET', P .. 'b:' .. ID, 'life', LIFE, 'spec', SPEC, 'labels', PRINT .. LABELS)
  save(ID, nil, n)
  place(ID, nil, n)
  if waits then update_class(n.class) end
  return { 'waiting', n.seq }
end

local answer = submit()
notify()
return answer
