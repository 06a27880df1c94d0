-- Replaces the policy of the queues if it has the expected version, or creates the first policy. A repeated call with
-- the same token gives the same reply. `<N` as the expected version means any version below N; the new policy then has
-- version N.
local EXPECTED, TOKEN, BODY, DEFAULT, LENS = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local COUNT = tonumber(ARGV[7])

local function mapped(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- Returns the names whose values differ between two tables.
local function differing(old, new)
  local names = {}
  for name, value in pairs(old) do
    if new[name] ~= value then names[#names + 1] = name end
  end
  for name in pairs(new) do
    if old[name] == nil then names[#names + 1] = name end
  end
  return names
end

-- Refreshes the keys that may have a free slot now. Keys that no longer have one are noticed by the next claim. Only
-- keys whose limit or hold changed are affected.
local function open_changed(default, limits, held)
  local names = differing(limits, mapped(call('HGETALL', P .. 'limits')))
  local beginnings = {}
  for _, name in ipairs(names) do
    if name:sub(-1) == '*' then beginnings[#beginnings + 1] = name:sub(1, -2) else refresh_full(name) end
  end
  for _, key in ipairs(differing(held, mapped(call('HGETALL', P .. 'held')))) do refresh_full(key) end
  if default ~= DEFAULT then beginnings = { '' } end
  if not beginnings[1] then return end
  for _, key in ipairs(call('SMEMBERS', P .. 'full')) do
    for _, beginning in ipairs(beginnings) do
      if key:sub(1, #beginning) == beginning then
        refresh_full(key)
        break
      end
    end
  end
end

local function write(version, default)
  local limits, held = mapped(call('HGETALL', P .. 'limits')), mapped(call('HGETALL', P .. 'held'))
  call('DEL', P .. 'limits', P .. 'held')
  for i = 8, 7 + 2 * COUNT, 2 do call('HSET', P .. 'limits', ARGV[i], ARGV[i + 1]) end
  for i = 8 + 2 * COUNT, #ARGV do call('HSET', P .. 'held', ARGV[i], '1') end
  call('HSET', P .. 'policy', 'version', version, 'body', BODY, 'default', DEFAULT, 'lens', LENS, 'token', TOKEN)
  policy = nil
  open_changed(default, limits, held)
  update_all()
  return { 'ok', version }
end

local function replace()
  local known = call('HMGET', P .. 'policy', 'version', 'token', 'default')
  if EXPECTED == '' then return known[1] and { 'ok', known[1] } or write('0', nil) end
  if not known[1] then return { 'empty' } end
  if known[2] == TOKEN then
    found()
    return { 'ok', known[1] }
  end
  -- A policy that another node already knew with a later version is restored with that version.
  local later = EXPECTED:match('^<(%d+)$')
  if later and tonumber(later) > tonumber(known[1]) then return write(later, known[3]) end
  if known[1] ~= EXPECTED then return { 'stale', known[1] } end
  return write(int(tonumber(EXPECTED) + 1), known[3])
end

local answer = replace()
notify()
return answer
