-- How far processes have come. ARGV: their ids.
--
-- Answers for each its revision, that at which it was given back if nobody has written it since; '' for one that is not
-- known, '-' for one that was let go, and '!' for one that is damaged.
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
