-- Returns the id of the cluster key of the namespace. ARGV: id of the caller's signing key (empty to change nothing),
-- and id of the key that it replaces, if any.
--
-- Sets the id if the namespace has none, or has the one that is replaced.
local meta = P .. 'meta'
local known = call('HGET', meta, 'key')
if ARGV[2] ~= '' and (not known or known == ARGV[3]) then
  call('HSET', meta, 'key', ARGV[2])
  known = ARGV[2]
end
return { known or '' }
