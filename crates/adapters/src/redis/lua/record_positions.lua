-- Returns the position of each record. ARGV: ids.
--
-- For each id: the revision, or the revision with which the record was restored if it was not written since; '' if the
-- process is unknown, '-' if it was pruned, '!' if the record is damaged.
local function position_of(id)
  local rev = call('HGET', P .. 'p:' .. id, 'rev')
  if not rev then return call('HEXISTS', P .. 'tombstones', id) == 1 and '-' or '' end
  return is_count(rev) and (restored_from(id, rev) or rev) or '!'
end

local answer = {}
for i = 2, #ARGV do
  local is_sound, found = pcall(position_of, ARGV[i])
  answer[i - 1] = is_sound and found or '!'
end
return answer
