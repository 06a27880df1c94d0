-- Removes a node that has left or is lost. ARGV: node, grace in milliseconds after the end of its lease (empty if
-- leases never expire).
--
-- The epoch of the node is kept, so that a node that returns gets a higher one.
local node, grace = ARGV[2], ARGV[3]
if not call('ZSCORE', P .. 'nodes', node) then return { 'unknown' } end
local key = P .. 'node:' .. node
local known = call('HMGET', key, 'left', 'lost', 'until')
local lost = known[2] and known[2] ~= ''
if known[1] ~= '1' and not lost then
  if grace == '' or not known[3] or known[3] == '' then return { 'alive' } end
  if tonumber(known[3]) + tonumber(grace) > now() then return { 'alive' } end
end
if not lost then mark_lost(node) end
disown_all(node)
call('SREM', P .. 'lost', node)
call('ZREM', P .. 'nodes', node)
call('HDEL', key, 'token', 'boot', 'version', 'left', 'until', 'lost', 'draining', 'labels', 'address', 'roots',
  'state_dir_id', 'state_dir_path', 'terms')
notify()
return { 'ok' }
