-- Replaces the policy of the queues if it still is at the expected version, or founds the first one. The same token again
-- gives the same answer. `<` before the version means: if there is an older one, which then has this version.
local EXPECTED, TOKEN, BODY, DEFAULT, LENS = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local COUNT = tonumber(ARGV[7])

local function write(version)
  call('DEL', P .. 'limits', P .. 'held')
  for i = 8, 7 + 2 * COUNT, 2 do call('HSET', P .. 'limits', ARGV[i], ARGV[i + 1]) end
  for i = 8 + 2 * COUNT, #ARGV do call('HSET', P .. 'held', ARGV[i], '1') end
  call('HSET', P .. 'policy', 'version', version, 'body', BODY, 'default', DEFAULT, 'lens', LENS, 'token', TOKEN)
  policy = nil
  -- What is closed from here on a claim finds out; what was closed and is not any more nobody would come to.
  for _, key in ipairs(call('SMEMBERS', P .. 'shut')) do opened(key) end
  news_all()
  return { 'ok', version }
end

local function replace()
  local known = call('HMGET', P .. 'policy', 'version', 'token')
  if EXPECTED == '' then return known[1] and { 'ok', known[1] } or write('0') end
  if not known[1] then return { 'empty' } end
  if known[2] == TOKEN then return { 'ok', known[1] } end
  -- One that was in force later, and its version.
  local later = EXPECTED:match('^<(%d+)$')
  if later and tonumber(later) > tonumber(known[1]) then return write(later) end
  if known[1] ~= EXPECTED then return { 'stale', known[1] } end
  return write(int(tonumber(EXPECTED) + 1))
end

local answer = replace()
ring()
return answer
