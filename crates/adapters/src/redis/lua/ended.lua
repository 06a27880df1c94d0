-- Returns ended processes, oldest first: the time, the number of all ended processes, then for each its id, its end
-- time, and '1' if it is still due for a decision. ARGV: number to skip, maximum number to return.
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
