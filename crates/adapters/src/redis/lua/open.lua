-- Creates the namespace if it does not exist. ARGV: the layout version that this program writes, the oldest layout version
-- that it reads (and that a reader must know), and a unique id for this incarnation of the namespace.
--
-- Returns the layout version that a reader must know, and the incarnation. For a namespace with an older layout, writes
-- nothing and returns that layout. Ends with an error before the first write if a key that all scripts share has the wrong
-- type, because scripts would end halfway. Only `notify` may have any type: the script that notifies replaces it.
local SHARED = {
  hash = {
    'meta', 'policy', 'limits', 'held', 'updates', 'classes', 'served', 'at', 'tombstones', 'launch', 'quarantine',
  },
  list = { 'tombstones_by_time' },
  set = { 'full', 'lost' },
  stream = { 'ev' },
  zset = { 'all', 'ids', 'live', 'ended', 'due', 'leased', 'keys', 'nodes', 'leases' },
}
for kind, names in pairs(SHARED) do
  for _, name in ipairs(names) do needs(kind, name) end
end
local meta = P .. 'meta'
local layout = tonumber(call('HGET', meta, 'layout') or '')
if layout and layout < tonumber(ARGV[3]) then return { int(layout), '' } end
call('HSETNX', meta, 'layout', ARGV[2])
call('HSETNX', meta, 'min_reader', ARGV[3])
call('HSETNX', meta, 'incarnation', ARGV[4])
return call('HMGET', meta, 'min_reader', 'incarnation')
