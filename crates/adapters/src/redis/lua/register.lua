-- A node joins with a new epoch. ARGV: node, boot, version, how long its lease lasts (empty for ever), token.
--
-- The same token again gives the same epoch. In a namespace that somebody emptied nothing is written: it is founded first.
if not policy_version() then return { 'empty' } end
local node, boot, version, lasts, token = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local key = P .. 'node:' .. node
local was = call('HMGET', key, 'epoch', 'token')
if was[2] == token then return { 'ok', was[1] } end
forgive_silence(lasts)
local epoch = next_epoch(node)
call('HSET', key, 'epoch', epoch, 'token', token, 'boot', boot, 'version', version, 'left', '0', 'lost', '',
  'labels', '', 'address', '', 'roots', '')
call('ZADD', P .. 'nodes', 0, node)
call('SREM', P .. 'lost', node)
alive(node, lasts)
-- What an earlier life of the node took in is new to this one.
if first_due() or anybody_waits() or call('EXISTS', P .. 'wished:' .. node) == 1 then news_for(node) end
-- Whoever waits under the older lease has to be told.
rings = true
ring()
return { 'ok', epoch }
