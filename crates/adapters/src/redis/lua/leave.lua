-- Records that a node left in a regular way. ARGV: node, epoch.
--
-- Its processes wait for its next registration, so its lease no longer expires. With an outdated epoch, nothing is
-- done: a late call of an earlier run must not affect the present one.
local node, epoch = ARGV[2], ARGV[3]
if node_is(node, epoch) then
  call('HSET', P .. 'node:' .. node, 'left', '1', 'until', '')
  call('ZREM', P .. 'leases', node)
end
return { 'ok' }
