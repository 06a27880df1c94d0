-- What a node offers to others. ARGV: node, epoch, its labels (one a line), its address, its room for roots.
if not node_is(ARGV[2], ARGV[3]) then return { 'fenced' } end
call('HSET', P .. 'node:' .. ARGV[2], 'labels', ARGV[4], 'address', ARGV[5], 'roots', ARGV[6])
return { 'ok' }
