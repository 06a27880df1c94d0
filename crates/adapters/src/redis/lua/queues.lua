-- Returns the queues: the policy, then for each key its slot holders and, for each placement, its waiting processes
-- with their scores. ARGV: '1' for all keys, else '' and the key.
local ALL, ONLY = ARGV[2] == '1', ARGV[3]

local keys = ALL and call('ZRANGE', P .. 'keys', 0, -1)
  or (call('ZSCORE', P .. 'keys', ONLY) and { ONLY } or {})
local rule = call('HMGET', P .. 'policy', 'version', 'body')
if not rule[1] then return { 'empty' } end
local answer = { 'ok', rule[1], rule[2] }
for _, key in ipairs(keys) do
  local placements = {}
  for _, placement in ipairs(call('SMEMBERS', P .. 'placements:' .. key)) do
    placements[#placements + 1] = call('ZRANGE', P .. 'q:' .. key .. SEP .. placement, 0, -1, 'WITHSCORES')
  end
  answer[#answer + 1] = { key, call('ZRANGE', P .. 'holders:' .. key, 0, -1), placements }
end
return answer
