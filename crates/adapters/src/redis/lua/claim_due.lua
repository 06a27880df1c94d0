-- Rows without owner that want a decision, the one due longest first; each is for one engine until its time is over.
-- ARGV: node, epoch, how long leases last, how long after its end a node's work is its own (both empty for ever), how
-- many at most, and how long each is handed out.
local node, epoch, lasts, grace, most, span =
  ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
-- So many rows are taken from lost nodes at once, so that nobody else waits long.
local MOST_TAKEN = 200
if not node_is(node, epoch) then return { 'fenced' } end
local before = first_due()
if grace ~= '' then
  extend_after_outage(lasts)
  for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', int(now() - tonumber(grace)))) do
    -- A node whose record is damaged keeps nobody from the others.
    if not pcall(mark_lost, gone) then call('ZREM', P .. 'leases', gone) end
  end
  local left = MOST_TAKEN
  for _, gone in ipairs(call('SMEMBERS', P .. 'lost')) do
    if left > 0 then left = left - disown_some(gone, left) end
  end
end
for _, mark in ipairs(call('ZRANGEBYSCORE', P .. 'leased', '-inf', int(now()))) do return_due(mark) end
local answer = { 'ok' }
if most > 0 then
  for _, mark in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', int(now()), 'LIMIT', 0, most)) do
    lease_due(mark, now() + span)
    answer[#answer + 1] = record(mark:sub(17))
  end
end
update_if_earlier(before)
notify()
return answer
