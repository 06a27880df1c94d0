-- Tells which cluster key the namespace uses, by its id. ARGV: the id of the one that signs where this is asked, empty to
-- change nothing, and that of the one which it takes the place of, if any.
--
-- The id is set if none is known, or if the known one is on its way out.
local meta = P .. 'meta'
local known = call('HGET', meta, 'key')
if ARGV[2] ~= '' and (not known or known == ARGV[3]) then
  call('HSET', meta, 'key', ARGV[2])
  known = ARGV[2]
end
return { known or '' }
