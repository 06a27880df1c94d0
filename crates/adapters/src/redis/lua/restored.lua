-- Restored records: field `restored` of the bodies contains the revision of the record that was restored and its
-- revision since then. It is valid until the record is written again.

-- Returns the revision with which a record was restored; nil if it was not restored or was written since.
local function restored_from(id, rev)
  local given = call('HGET', P .. 'b:' .. id, 'restored')
  if not given then return nil end
  local from, at = given:match('^(%d+):(%d+)$')
  return at == rev and from or nil
end
