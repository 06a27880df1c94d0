-- Stores what a node offers to other nodes. ARGV: node, epoch, labels (one per line), address, number of root slots.
if not node_is(ARGV[2], ARGV[3]) then return { 'fenced' } end
call('HSET', P .. 'node:' .. ARGV[2], 'labels', ARGV[4], 'address', ARGV[5], 'roots', ARGV[6])
return { 'ok' }
