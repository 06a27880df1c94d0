-- Restores records that the server has lost. ARGV: node and epoch of the caller, duration of a lease and time after the
-- last renewal at which work counts as lost (both empty if leases never expire), then for each record the epoch of its
-- owner, the number of arguments that follow, and these arguments in the order of `import`.
--
-- Returns for each record the outcome and its revision.
local NODE, EPOCH, LASTS, UNTIL_LOST = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if not policy_version() then return { 'empty' } end
if not node_is(NODE, EPOCH) then return { 'fenced' } end
repair_marks()

-- Returns the name of a node that owned a process; '' if the node is lost. An unknown node is added and expected to
-- return: its lease starts now, with its last known epoch.
local function current_owner(owner, epoch)
  if owner == '' then return '' end
  if not call('HGET', P .. 'node:' .. owner, 'epoch') then
    local lasts_until = LASTS ~= '' and int(now() + tonumber(LASTS)) or ''
    call('HSET', P .. 'node:' .. owner, 'epoch', epoch, 'boot', '', 'version', '', 'left', '0', 'lost', '',
      'until', lasts_until)
    call('ZADD', P .. 'nodes', 0, owner)
    if lasts_until ~= '' then call('ZADD', P .. 'leases', lasts_until, owner) end
  end
  if not call('ZSCORE', P .. 'nodes', owner) then return '' end
  local lost = call('HGET', P .. 'node:' .. owner, 'lost')
  return (not lost or lost == '') and owner or ''
end

-- Returns true if the stored record must be replaced by the restored one, which has revision `rev` and owner `owner`.
local function gives_way(id, h, rev, owner, slot_state, attempt)
  -- An end is final: a restored record that has not ended is older, whatever its revision.
  if h.slot_state == '3' and slot_state ~= '3' then return false end
  local from = restored_from(id, h.rev)
  local position = tonumber(from or h.rev)
  if rev == position then return from and h.owner == '' and owner == NODE end
  local others = h.owner ~= '' and h.owner ~= NODE and h.owner ~= owner
  local stays = others and slot_state ~= '3' and tonumber(h.attempt) >= attempt
  return rev > position and not stays
end

-- Returns true if a launch key belongs to another process.
local function is_taken(launch_key, id)
  local holder = launch_key ~= '' and call('HGET', P .. 'launch', launch_key)
  return holder and holder:sub(1, #id) ~= id
end

-- Returns the sequence number of the record, or a new one if another process has received that number since.
local function free_seq(id, seq)
  local there = call('ZRANGEBYSCORE', P .. 'all', seq, seq, 'LIMIT', 0, 1)
  if there[1] and there[1] ~= id then return int(counted_up('seq', '1')) end
  if tonumber(seq) > tonumber(call('HGET', P .. 'meta', 'seq') or '0') then call('HSET', P .. 'meta', 'seq', seq) end
  return seq
end

local function restore_one(epoch, a, last)
  local id, rev, owner = ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 4]
  if call('HEXISTS', P .. 'tombstones', id) == 1 then return 'pruned', '0' end
  -- A damaged record is replaced by the restored one.
  local h, fault = sound_head(id)
  for _, kept in ipairs({ { 'p:', 'hash' }, { 'b:', 'hash' }, { 'actions:', 'list' } }) do
    if not pcall(needs, kept[2], kept[1] .. id) or fault and kept[1] == 'p:' then call('DEL', P .. kept[1] .. id) end
  end
  if fault then call('HDEL', P .. 'quarantine', id) end
  -- A sequence number of 0 means that the launch was never acknowledged.
  if not h and ARGV[a + 3] == '0' and is_taken(ARGV[a + 7], id) then return 'pruned', '0' end
  if h and not gives_way(id, h, rev, owner, ARGV[a + 13], tonumber(ARGV[a + 16])) then return 'known', h.rev end
  local at = int(math.max(rev, h and tonumber(h.rev) or 0) + 1)
  local n = {
    rev = at, seq = h and h.seq or free_seq(id, ARGV[a + 3]), owner = current_owner(owner, epoch), owner_lost = '',
    action_seq = int(math.max(tonumber(ARGV[a + 5]), h and tonumber(h.action_seq) or 0)),
    pending = int((last - a - 25) / 2),
    slot_state = ARGV[a + 13], status = ARGV[a + 14], closing = ARGV[a + 15], attempt = ARGV[a + 16],
    key = ARGV[a + 17], class = ARGV[a + 18], priority = ARGV[a + 19], due = ARGV[a + 20],
    ancestors = ARGV[a + 21], node = ARGV[a + 22], queued = ARGV[a + 23], completed = ARGV[a + 24],
    if_claimed = ARGV[a + 25],
  }
  -- The previous owner may still return and report the end, so the process is due only later.
  if owner ~= '' and n.owner == '' and UNTIL_LOST ~= '' then n.owner_lost = int(now() + tonumber(UNTIL_LOST)) end
  call('DEL', P .. 'actions:' .. id)
  for i = a + 26, last, 2 do call('RPUSH', P .. 'actions:' .. id, ARGV[i], ARGV[i + 1]) end
  call('HDEL', P .. 'b:' .. id, 'claimed', 'live_stats')
  call('HSET', P .. 'b:' .. id, 'life', ARGV[a + 9], 'spec', ARGV[a + 10], 'labels', ARGV[a + 12] .. ARGV[a + 11],
    'restored', ARGV[a + 2] .. ':' .. at)
  if ARGV[a + 6] ~= '' then call('HSET', P .. 'b:' .. id, 'live_stats', ARGV[a + 6]) end
  if ARGV[a + 7] ~= '' then call('HSETNX', P .. 'launch', ARGV[a + 7], id .. ARGV[a + 8]) end
  save(id, h, n)
  place(id, h, n)
  append(id, at, { 'restored' .. SEP .. int(now()) .. SEP .. NODE })
  if n.slot_state == '0' then update_class(n.class) end
  if n.owner ~= '' and tonumber(n.pending) > 0 then update_node(n.owner) end
  return 'restored', at
end

local answer = { 'ok' }
local at = 6
while at <= #ARGV do
  local last = at + 1 + tonumber(ARGV[at + 1])
  local what, rev = restore_one(ARGV[at], at + 1, last)
  answer[#answer + 1] = what
  answer[#answer + 1] = rev
  at = last + 1
end
notify()
return answer
