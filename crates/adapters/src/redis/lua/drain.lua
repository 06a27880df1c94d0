-- Starts or ends the drain of a node; a draining node claims nothing. ARGV: node, '1' to start or '' to end.
if not call('ZSCORE', P .. 'nodes', ARGV[2]) then return { 'unknown' } end
call('HSET', P .. 'node:' .. ARGV[2], 'draining', ARGV[3])
if ARGV[3] == '' then update_node(ARGV[2]) end
notify()
return { 'ok' }
