-- What has ended, oldest first: the time, how many did in all, then of each its id, when, and whether it still wants a decision.
-- ARGV: how many to pass over, and how many at most.
local from = tonumber(ARGV[2])
local answer = { int(now()), call('ZCARD', P .. 'ended') }
local found = call('ZRANGE', P .. 'ended', from, from + tonumber(ARGV[3]) - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  local mark = found[i]
  local busy = call('ZSCORE', P .. 'due', mark) or call('ZSCORE', P .. 'leased', mark)
  answer[#answer + 1] = mark:sub(17)
  answer[#answer + 1] = found[i + 1]
  answer[#answer + 1] = busy and '1' or '0'
end
return answer
