-- Records that were given back after they were lost: `given` in the body holds the revision at which one was given and
-- the one that it has stood at since. It counts until the record is written again.

-- The revision at which a record was given that stands at this one; nil if it was not, or was written since.
local function restored_from(id, rev)
  local given = call('HGET', P .. 'b:' .. id, 'restored')
  if not given then return nil end
  local from, at = given:match('^(%d+):(%d+)$')
  return at == rev and from or nil
end
