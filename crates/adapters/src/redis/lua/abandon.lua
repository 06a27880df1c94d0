-- Quarantines a process that was just claimed and whose record the node cannot read, and frees its slot. The process
-- then has no owner, like the work of a lost node. Once the record is repaired, the process becomes due for a decision.
-- ARGV: id, node, reason.
local ID, NODE, FAULT = ARGV[2], ARGV[3], ARGV[4]

local function abandon()
  local h = sound_head(ID)
  if not h or h.slot_state ~= '1' or h.owner ~= '' and h.owner ~= NODE then return end
  -- After a write by a node that could read the record, or if the record is quarantined already, nothing is done.
  if not bodies(ID, 'claimed')[1] or call('HEXISTS', P .. 'quarantine', ID) == 1 then return end
  local n = copy(h)
  n.owner, n.owner_lost = '', int(now())
  needs_place(ID, h, n, '')
  needs_queue(n, nil)
  call('HSET', P .. 'b:' .. ID, 'unreadable', body_mark(ID))
  call('HSET', P .. 'quarantine', ID, FAULT)
  place(ID, h, n)
  save(ID, h, n)
  call('ZREM', P .. 'due', mark_of(ID, n))
  queue_moved(ID, n, nil)
  update_all()
end

abandon()
notify()
return { 'ok' }
