-- Stores live stats of attempts. ARGV: node, epoch, then triples of id, attempt and body.
local NODE, EPOCH = ARGV[2], ARGV[3]

local function touch(id, attempt, body)
  local h = redis.pcall('HMGET', P .. 'p:' .. id, 'rev', 'owner', 'attempt', 'slot_state')
  if h.err or not pcall(needs, 'hash', 'b:' .. id) then return { 'damaged', 'one of its keys is not a hash' } end
  if not h[1] then return { 'missing' } end
  local refused = fenced(h[2] or '', NODE, EPOCH)
  if refused then return refused end
  if h[3] ~= attempt or h[4] == '3' then return { 'conflict', h[1] } end
  call('HSET', P .. 'b:' .. id, 'live_stats', body)
  return { 'ok' }
end

local answers = {}
for i = 4, #ARGV, 3 do answers[#answers + 1] = touch(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
return answers
