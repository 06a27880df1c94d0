-- Quarantined processes: a process whose damaged record was repaired returns to its indexes.

-- Number of processes checked in one call.
local PAGE_SIZE = 16

local function recheck(id)
  local h = head(id)
  if not h then return end
  local b = bodies(id, 'life', 'spec', 'unreadable')
  if not b[1] or not b[2] or b[3] == body_mark(id) then return end
  needs('list', 'actions:' .. id)
  if h.slot_state == '0' then
    needs_queue(nil, h)
    queue_moved(id, nil, h)
    update_class(h.class)
  elseif h.owner ~= '' then
    needs('zset', 'owned:' .. h.owner)
    call('ZADD', P .. 'owned:' .. h.owner, h.seq, id)
    if (call('HGET', P .. 'node:' .. h.owner, 'lost') or '') ~= '' then call('SADD', P .. 'lost', h.owner) end
  elseif b[3] then
    needs_queue(nil, h)
    queue_moved(id, nil, h)
    local first = first_due()
    call('ZADD', P .. 'due', due_of(h), mark_of(id, h))
    update_if_earlier(first)
  end
  if b[3] then call('HDEL', P .. 'b:' .. id, 'unreadable') end
  call('HDEL', P .. 'quarantine', id)
end

-- Checks some quarantined processes, and other ones in the next call.
local function recheck_quarantined()
  if call('EXISTS', P .. 'quarantine') == 0 then return end
  local page = call('HSCAN', P .. 'quarantine', call('HGET', P .. 'meta', 'quarantine_at') or '0', 'COUNT', PAGE_SIZE)
  call('HSET', P .. 'meta', 'quarantine_at', page[1])
  -- HSCAN returns a small hash completely, regardless of COUNT.
  local count = #page[2] / 2
  local first = count > PAGE_SIZE and math.floor(now() / 1000) * PAGE_SIZE or 0
  for i = first, first + math.min(count, PAGE_SIZE) - 1 do pcall(recheck, page[2][i % count * 2 + 1]) end
end
