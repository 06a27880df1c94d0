-- What there is for a node. ARGV: node, epoch, how long a lease lasts from a beat on (empty for ever), how long after
-- its end a node's work is its own, 'beat' or 'call', and with a call the count of news that the node took in last,
-- empty if that is not known.
--
-- A beat prolongs the lease of a node that did not leave, and looks again at who was set aside. A call is answered only if
-- there is something new.
local node, epoch, lasts, grace, seen = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7]
if not node_is(node, epoch) then return { 'fenced' } end
local count = 0
if ARGV[6] == 'beat' then
  forgive_silence(lasts)
  call('HSET', P .. 'meta', 'heard', int(now()))
  if call('HGET', P .. 'node:' .. node, 'left') ~= '1' then alive(node, lasts) end
  mend_aside()
  -- A log that is none keeps no node from living.
  pcall(mend_marks)
  ring()
else
  local news = call('HMGET', P .. 'news', '*', 'n:' .. node, 't:' .. node)
  count = (tonumber(news[1]) or 0) + (tonumber(news[2]) or 0)
  local taken = tonumber(news[3]) or 0
  -- More than there ever was is known only of what the server lost, and then all is new.
  if seen ~= '' and tonumber(seen) > taken and tonumber(seen) <= count then
    taken = tonumber(seen)
    call('HSET', P .. 'news', 't:' .. node, seen)
  end
  if taken == count then return { 'parked' } end
end
local due, loss = first_due(), first_loss(grace)
if loss and (not due or loss < due) then due = loss end
local meta = call('HMGET', P .. 'meta', 'founded', 'cursor')
return {
  'ok', int(now()), call('HGET', P .. 'node:' .. node, 'until') or '', due and int(due) or '', policy_version() or '0',
  int(count), call('ZRANGE', P .. 'wished:' .. node, 0, -1), meta[1] or '', meta[2] or '0',
}
