-- How far processes have come. ARGV: their ids.
--
-- Answers for each its revision, that at which it was given back if nobody has written it since; '' for one that is not
-- known and '-' for one that was let go.
local answer = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local rev = call('HGET', P .. 'p:' .. id, 'rev')
  if rev then
    answer[i - 1] = given_from(id, rev) or rev
  else
    answer[i - 1] = call('HEXISTS', P .. 'tombs', id) == 1 and '-' or ''
  end
end
return answer
