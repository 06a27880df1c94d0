-- Fourth part of every script: the indexes that are derived from headers, claims, and records.

-- All indexes --------------------------------------------------------------------------------------------------------

-- Moves a member from one index to another with the same name prefix; '' means no index.
local function move(begin, was, is, score, member)
  if was == is then return end
  if was ~= '' then call('ZREM', P .. begin .. was, member) end
  if is ~= '' then call('ZADD', P .. begin .. is, score, member) end
end

-- Ends the script unless `move` would succeed.
local function needs_move(begin, was, is)
  if was == is then return end
  if was ~= '' then needs('zset', begin .. was) end
  if is ~= '' then needs('zset', begin .. is) end
end

local function lives(h) return h and h.slot_state ~= '3' end

-- Returns the owner if the process is a root that holds a slot, otherwise ''.
local function root_holder(h) return h and h.ancestors == '' and h.slot_state == '1' and h.owner or '' end

-- Returns the owner if the process has pending actions, otherwise ''.
local function pending_owner(h) return h and h.pending ~= '0' and h.owner or '' end

-- Returns the root of the tree in which the process is a live descendant, otherwise ''.
local function tree_of(h) return lives(h) and h.ancestors:sub(1, 16) or '' end

-- Calls `act` for each index that contains only some processes, with the names of the index before and after the
-- change.
local function each_index(id, o, n, act)
  local seq = (n or o).seq
  act('s:', o and o.status or '', n and n.status or '', seq, id)
  act('tree:', tree_of(o), tree_of(n), #(n or o).ancestors / 16, id)
  act('x:node:', o and o.node or '', n and n.node or '', seq, id)
  act('owned:', o and o.owner or '', n and n.owner or '', seq, id)
  act('pending:', pending_owner(o), pending_owner(n), seq, id)
  act('roots:', root_holder(o), root_holder(n), seq, id)
end

-- Ends the script unless all keys that moving a process changes have the right type, except those shared by all
-- processes. `labels` are the labels of a new process.
local function needs_place(id, o, n, labels)
  each_index(id, o, n, needs_move)
  if not o then
    for at = 1, #n.ancestors, 16 do needs('zset', 'x:below:' .. n.ancestors:sub(at, at + 15)) end
  end
  for label in labels:gmatch('[^\n]+') do needs('zset', 'x:' .. label) end
  needs_queue(o, n)
end

-- Calls `write` for each index in which the entry of a process never changes.
local function fixed_indexes(id, h, write)
  local filed = call('HGET', P .. 'b:' .. id, 'labels') or ''
  write('all', h.seq)
  write('ids', '0')
  for label in filed:sub(17):gmatch('[^\n]+') do write('x:' .. label, h.seq) end
  for at = 1, #h.ancestors, 16 do write('x:below:' .. h.ancestors:sub(at, at + 15), h.seq) end
end

-- Updates all indexes for a changed process. `o` is nil for a new process, `n` is nil for a removed one; the bodies of
-- the process must exist in both cases. A changed process that was leased because it was due is no longer leased.
local function place(id, o, n)
  local h = n or o
  local seq, mark = h.seq, mark_of(id, h)
  if not o then fixed_indexes(id, h, function(name, score) call('ZADD', P .. name, score, id) end) end
  if not n then fixed_indexes(id, h, function(name) call('ZREM', P .. name, id) end) end
  each_index(id, o, n, move)
  move('', lives(o) and 'live' or '', lives(n) and 'live' or '', seq, id)
  local ended_at = n and n.completed or ''
  if (o and o.completed or '') ~= ended_at then
    if ended_at == '' then call('ZREM', P .. 'ended', mark) else call('ZADD', P .. 'ended', ended_at, mark) end
  end
  local was, is = o and due_of(o) or nil, n and due_of(n) or nil
  if was and call('ZSCORE', P .. 'leased', mark) or was ~= is then
    local first = first_due()
    if was then
      call('ZREM', P .. 'leased', mark)
      call('ZREM', P .. 'due', mark)
    end
    if is then call('ZADD', P .. 'due', is, mark) end
    update_if_earlier(first)
  end
  queue_moved(id, o, n)
end

-- Claims -------------------------------------------------------------------------------------------------------------

-- Returns the header of a waiting process after its claim by a node, and the note about the claim. Status, closing, due
-- and ownership come from `if_claimed`. A process that the node does not own keeps the node on which it ran before.
local function as_claimed(h, node)
  local n = copy(h)
  local status, closing, due, owned = h.if_claimed:match(IF_CLAIMED)
  n.rev = int(tonumber(h.rev) + 1)
  n.attempt = int(tonumber(h.attempt) + 1)
  n.slot_state, n.status, n.closing, n.due = '1', status, closing, due
  if owned == '1' then n.owner, n.node = node, node end
  n.if_claimed, n.owner_lost = '', ''
  return n, n.attempt .. SEP .. int(now()) .. SEP .. node
end

-- Records that a key was served now.
local function record_service(key) call('HSET', P .. 'served', key, int(counted_up('claims', '1'))) end

-- Records ------------------------------------------------------------------------------------------------------------

-- Returns the given fields of the bodies of a process. Ends the script unless the bodies can be written.
local function bodies(id, ...)
  local found = redis.pcall('HMGET', P .. 'b:' .. id, ...)
  if found.err then damaged('process ' .. printed(id) .. ': its body is not a hash') end
  return found
end

-- Returns a checksum of the bodies of a process.
local function body_mark(id)
  local b = bodies(id, 'life', 'spec')
  return redis.sha1hex((b[1] or '') .. SEP .. (b[2] or ''))
end

-- Returns the record for a header; `b` contains claimed, life, spec and live stats.
local function record_of(id, h, b)
  local row = { id, h.rev, h.seq, h.owner, h.owner ~= '' and epoch_of(h.owner), b[1], b[2], b[3], b[4] }
  if h.pending ~= '0' or h.slot_state == '0' then
    local pending = redis.pcall('LRANGE', P .. 'actions:' .. id, 0, -1)
    if pending.err then return { id, '!', 'its pending actions are not a list' } end
    for _, part in ipairs(pending) do row[#row + 1] = part end
  end
  return row
end

-- Returns a record: id, revision, sequence number, owner, epoch of the owner, claimed, life, spec, live stats, then
-- number and body of each pending action. Returns an empty table if the process does not exist, and id, '!' and the
-- reason if the record is damaged.
local function record(id)
  local h, fault = sound_head(id)
  if fault then return { id, '!', fault } end
  if not h then return {} end
  local b = redis.pcall('HMGET', P .. 'b:' .. id, 'claimed', 'life', 'spec', 'live_stats')
  if b.err then return { id, '!', 'its body is not a hash' } end
  if not b[2] or not b[3] then return { id, '!', 'its body is missing' } end
  return record_of(id, h, b)
end
