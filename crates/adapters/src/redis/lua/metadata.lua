-- Returns the data of a store other than processes and events. ARGV: the kind of data, and where to continue.
local sort, from = ARGV[2], ARGV[3]
local STEP = 1000
if sort == 'marks' then
  local marks = call('HMGET', P .. 'meta', 'pruned', 'seq', 'cursor')
  return { marks[1] or '0', marks[2] or '0', marks[3] or '0' }
elseif sort == 'served' then
  return call('HGETALL', P .. 'served')
elseif sort == 'launch' then
  -- Launch keys whose process was pruned.
  local found = call('HSCAN', P .. 'launch', from, 'COUNT', STEP)
  local answer = { found[1] }
  for i = 1, #found[2], 2 do
    local value = found[2][i + 1]
    if call('EXISTS', P .. 'p:' .. value:sub(1, 16)) == 0 then
      answer[#answer + 1] = found[2][i]
      answer[#answer + 1] = value
    end
  end
  return answer
end
local ids = call('LRANGE', P .. 'tombstones_by_time', from, tonumber(from) + STEP - 1)
local answer = {}
for _, id in ipairs(ids) do
  answer[#answer + 1] = id
  answer[#answer + 1] = (call('HGET', P .. 'tombstones', id) or ''):sub(1, 16)
end
return answer
