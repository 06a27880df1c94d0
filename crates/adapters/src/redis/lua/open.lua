-- Founds the namespace if there is none. ARGV: the version of its layout that is written here, the oldest one that has to
-- be known to read what is written here, and a mark that no other founding has.
--
-- Answers which layout a reader has to know, and the mark of the founding. Ends before anything is written if one of the
-- keys that all scripts share is of another kind: they would end halfway. The bell alone is hung anew by whoever rings it.
local SHARED = {
  hash = {
    'meta', 'policy', 'limits', 'held', 'news', 'classes', 'served', 'at', 'tombs', 'launch', 'aside',
  },
  list = { 'tombs_in_order' },
  set = { 'shut', 'lost' },
  stream = { 'ev' },
  zset = { 'all', 'ids', 'live', 'ended', 'due', 'handed', 'keys', 'nodes', 'leases' },
}
for kind, names in pairs(SHARED) do
  for _, name in ipairs(names) do needs(kind, name) end
end
local meta = P .. 'meta'
call('HSETNX', meta, 'layout', ARGV[2])
call('HSETNX', meta, 'min_reader', ARGV[3])
call('HSETNX', meta, 'founded', ARGV[4])
return call('HMGET', meta, 'min_reader', 'founded')
