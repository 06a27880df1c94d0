-- What there is for a node. ARGV: node, epoch, how long a lease lasts from a beat on (empty for ever), how long after
-- its end a node's work is its own, 'beat' or 'call', and with a call the count of news that the node took in last,
-- empty if that is not known.
--
-- A beat prolongs the lease of a node that did not leave, and looks again at who was set aside. A call is answered only if
-- there is something new.
local node, epoch, lasts, grace, seen = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7]
if not node_is(node, epoch) then return { 'fenced' } end
local count = 0
if ARGV[6] == 'renew' then
  extend_after_outage(lasts)
  call('HSET', P .. 'meta', 'heard', int(now()))
  if call('HGET', P .. 'node:' .. node, 'left') ~= '1' then renew_lease(node, lasts) end
  recheck_quarantined()
  -- A log that is none keeps no node from living.
  pcall(repair_marks)
  notify()
else
  local updates = call('HMGET', P .. 'updates', '*', 'n:' .. node, 't:' .. node)
  count = (tonumber(updates[1]) or 0) + (tonumber(updates[2]) or 0)
  local taken = tonumber(updates[3]) or 0
  -- More than there ever was is known only of what the server lost, and then all is new.
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
