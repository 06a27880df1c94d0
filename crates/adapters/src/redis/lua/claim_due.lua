-- Leases due processes without an owner to one engine, the longest due first, so that no other engine handles them at
-- the same time. ARGV: node, epoch, lease of a node and grace in milliseconds (both empty if leases never expire),
-- maximum number of processes, duration for which each process is leased, then the arguments of `lost_data_check`.
local node, epoch, lasts, grace, most, span =
  ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
-- Maximum number of processes taken from lost nodes in one call, so that other scripts do not wait long.
local MOST_TAKEN = 200
if not node_is(node, epoch) then return { 'fenced' } end
local before = first_due()
if grace ~= '' then
  extend_after_outage(lasts)
  for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', int(now() - tonumber(grace)))) do
    -- A node with a damaged entry does not block the others.
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
