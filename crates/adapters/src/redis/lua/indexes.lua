-- What every script has: the indexes that follow from the heads, claims, and records.

-- All indexes --------------------------------------------------------------------------------------------------------

-- Moves a member between two indexes whose names begin alike; '' is none.
local function move(begin, was, is, score, member)
  if was == is then return end
  if was ~= '' then call('ZREM', P .. begin .. was, member) end
  if is ~= '' then call('ZADD', P .. begin .. is, score, member) end
end

-- Ends the script unless such a move can be made.
local function needs_move(begin, was, is)
  if was == is then return end
  if was ~= '' then needs('zset', begin .. was) end
  if is ~= '' then needs('zset', begin .. is) end
end

local function lives(h) return h and h.slot_state ~= '3' end

-- The owner of what it holds that began no tree below another.
local function root_holder(h) return h and h.ancestors == '' and h.slot_state == '1' and h.owner or '' end

-- The owner of what has orders for it.
local function pending_owner(h) return h and h.pending ~= '0' and h.owner or '' end

-- The tree that it lives in below another.
local function tree_of(h) return lives(h) and h.ancestors:sub(1, 16) or '' end

-- Goes through the indexes in which only some stand, and tells for each where the process was and where it is.
local function each_index(id, o, n, act)
  local seq = (n or o).seq
  act('s:', o and o.status or '', n and n.status or '', seq, id)
  act('tree:', tree_of(o), tree_of(n), #(n or o).ancestors / 16, id)
  act('x:node:', o and o.node or '', n and n.node or '', seq, id)
  act('owned:', o and o.owner or '', n and n.owner or '', seq, id)
  act('pending:', pending_owner(o), pending_owner(n), seq, id)
  act('roots:', root_holder(o), root_holder(n), seq, id)
end

-- Ends the script unless everything is of its kind that a process is moved in, but for what all processes share; the labels
-- are those that one is filed under that enters.
local function needs_place(id, o, n, labels)
  each_index(id, o, n, needs_move)
  if not o then
    for at = 1, #n.ancestors, 16 do needs('zset', 'x:below:' .. n.ancestors:sub(at, at + 15)) end
  end
  for label in labels:gmatch('[^\n]+') do needs('zset', 'x:' .. label) end
  needs_queue(o, n)
end

-- What stays as it is for as long as the process is there.
local function fixed_indexes(id, h, write)
  local filed = call('HGET', P .. 'b:' .. id, 'labels') or ''
  write('all', h.seq)
  write('ids', '0')
  for label in filed:sub(17):gmatch('[^\n]+') do write('x:' .. label, h.seq) end
  for at = 1, #h.ancestors, 16 do write('x:below:' .. h.ancestors:sub(at, at + 15), h.seq) end
end

-- Moves a process in all indexes. Without an old head it enters, without a new one it leaves; its bodies have to be
-- there in both cases. Whoever had it because it was due has it no more.
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

-- The head of a waiter as it is once the node has it, and its event. What a claim makes of it was said when it was
-- written: status, closing, due, and whether the node owns it, for what it does not own runs where it ran before.
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

-- Remembers that a key was served just now.
local function record_service(key) call('HSET', P .. 'served', key, int(counted_up('claims', '1'))) end

-- Records ------------------------------------------------------------------------------------------------------------

-- Ends the script unless the bodies of a process can be written. Answers those that are asked for.
local function bodies(id, ...)
  local found = redis.pcall('HMGET', P .. 'b:' .. id, ...)
  if found.err then damaged('process ' .. printed(id) .. ': its body is no hash') end
  return found
end

-- Tells one body of a process from another.
local function body_mark(id)
  local b = bodies(id, 'life', 'spec')
  return redis.sha1hex((b[1] or '') .. SEP .. (b[2] or ''))
end

-- The record of this head, with claimed, life, specification and vitals as they are in its bodies.
local function record_of(id, h, b)
  local row = { id, h.rev, h.seq, h.owner, h.owner ~= '' and epoch_of(h.owner), b[1], b[2], b[3], b[4] }
  if h.pending ~= '0' or h.slot_state == '0' then
    local pending = redis.pcall('LRANGE', P .. 'actions:' .. id, 0, -1)
    if pending.err then return { id, '!', 'its orders are no list' } end
    for _, part in ipairs(pending) do row[#row + 1] = part end
  end
  return row
end

-- One record: id, revision, seq, owner, its epoch, claimed, life, specification, vitals, then number and body of each
-- open wish. Empty if there is none; its id, '!' and what is wrong if it is damaged.
local function record(id)
  local h, fault = sound_head(id)
  if fault then return { id, '!', fault } end
  if not h then return {} end
  local b = redis.pcall('HMGET', P .. 'b:' .. id, 'claimed', 'life', 'spec', 'live_stats')
  if b.err then return { id, '!', 'its body is no hash' } end
  if not b[2] or not b[3] then return { id, '!', 'its body is gone' } end
  return record_of(id, h, b)
end
