-- Renews the lease of a node, or returns what has changed for it. ARGV: node, epoch, duration of a lease (empty if
-- leases never expire), grace after its end, 'renew' or 'wait', and for 'wait' the number of the latest update that the
-- node has processed (empty if unknown).
--
-- 'renew' renews the lease of a node that has not left, and checks quarantined processes again. 'wait' returns `parked`
-- if nothing has changed.
local node, epoch, lasts, grace, seen = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7]
if not node_is(node, epoch) then return { 'fenced' } end
local count = 0
if ARGV[6] == 'renew' then
  extend_after_outage(lasts)
  call('HSET', P .. 'meta', 'heard', int(now()))
  if call('HGET', P .. 'node:' .. node, 'left') ~= '1' then renew_lease(node, lasts) end
  recheck_quarantined()
  -- A damaged event log does not prevent a lease renewal.
  pcall(repair_marks)
  notify()
else
  local updates = call('HMGET', P .. 'updates', '*', 'n:' .. node, 't:' .. node)
  count = (tonumber(updates[1]) or 0) + (tonumber(updates[2]) or 0)
  local taken = tonumber(updates[3]) or 0
  -- A number above the count is from before a loss of data on the server; then everything counts as changed.
  if seen ~= '' and tonumber(seen) > taken and tonumber(seen) <= count then
    taken = tonumber(seen)
    call('HSET', P .. 'updates', 't:' .. node, seen)
  end
  if taken == count then return { 'parked' } end
end
local due, loss = first_due(), next_loss(grace)
if loss and (not due or loss < due) then due = loss end
local meta = call('HMGET', P .. 'meta', 'incarnation', 'cursor')
return {
  'ok', int(now()), call('HGET', P .. 'node:' .. node, 'until') or '', due and int(due) or '', policy_version() or '0',
  int(count), call('ZRANGE', P .. 'pending:' .. node, 0, -1), meta[1] or '', meta[2] or '0',
}
