-- A node leaves in good order. ARGV: node, epoch.
--
-- What it owns waits for its next registration, so its lease has no end any more. An older life that leaves late does
-- not take the new one with it.
local node, epoch = ARGV[2], ARGV[3]
if node_is(node, epoch) then
  call('HSET', P .. 'node:' .. node, 'left', '1', 'until', '')
  call('ZREM', P .. 'leases', node)
end
return { 'ok' }
