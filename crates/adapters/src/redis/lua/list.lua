-- Returns one page of a list. ARGV: order ('new' or 'old' first), sequence number after which to continue (empty for
-- the start), maximum number of records, maximum number of their bytes, maximum number of processes to check, then
-- conditions as pairs of kind and value: `in` an index, `not` in an index, in one of several indexes by `or`, children
-- of a `parent`, only roots by `root`, ids from `low` to `high`.
--
-- The script follows the shortest index that contains all candidates. It returns the sequence number after which to
-- continue (empty at the end), '1' if the page is full, then the records.
local newest_first, after, most, largest, looks =
  ARGV[2] == 'new', ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
-- Number of members that are read from an index at a time.
local STRIDE = 100
-- Maximum number of candidates by id that are sorted by sequence number.
local FEW = 1000
local all_of, one_of, none_of = {}, {}, {}
local parent, roots, low, high
for i = 7, #ARGV, 2 do
  local kind, value = ARGV[i], ARGV[i + 1]
  if kind == 'in' then all_of[#all_of + 1] = P .. value
  elseif kind == 'or' then one_of[#one_of + 1] = P .. value
  elseif kind == 'not' then none_of[#none_of + 1] = P .. value
  elseif kind == 'parent' then parent = value
  elseif kind == 'root' then roots = true
  elseif kind == 'low' then low = value
  elseif kind == 'high' then high = value
  end
end

-- Choose the shortest way: one index, or several indexes of which each candidate is in one.
local ways, length = { P .. 'all' }, call('ZCARD', P .. 'all')
for _, index in ipairs(all_of) do
  local count = call('ZCARD', index)
  if count < length then ways, length = { index }, count end
end
if one_of[1] then
  local count = 0
  for _, index in ipairs(one_of) do count = count + call('ZCARD', index) end
  if count < length then ways, length = one_of, count end
end

-- Returns an iterator over an index by sequence number.
local function along(index)
  local found, at, on = {}, 1, after
  return function()
    if not found[at] then
      if on == nil then return nil end
      if newest_first then
        found = call('ZREVRANGEBYSCORE', index, on == '' and '+inf' or '(' .. on, '-inf', 'WITHSCORES', 'LIMIT', 0, STRIDE)
      else
        found = call('ZRANGEBYSCORE', index, on == '' and '-inf' or '(' .. on, '+inf', 'WITHSCORES', 'LIMIT', 0, STRIDE)
      end
      at = 1
      on = found[2 * STRIDE]
      if not found[1] then return nil end
    end
    at = at + 2
    return found[at - 2], tonumber(found[at - 1])
  end
end

-- Returns an iterator by sequence number over the few processes in a range of ids.
local function among_ids()
  local found = {}
  for _, id in ipairs(call('ZRANGEBYLEX', P .. 'ids', '[' .. low, '[' .. high)) do
    local seq = tonumber(call('ZSCORE', P .. 'all', id))
    if after == '' or (newest_first and seq < tonumber(after)) or (not newest_first and seq > tonumber(after)) then
      found[#found + 1] = { id, seq }
    end
  end
  table.sort(found, function(a, b)
    if newest_first then return a[2] > b[2] end
    return a[2] < b[2]
  end)
  local at = 0
  return function()
    at = at + 1
    if found[at] then return found[at][1], found[at][2] end
  end
end

-- Returns an iterator over several indexes, merged by sequence number.
local function along_all(indexes)
  local walks, heads = {}, {}
  for i, index in ipairs(indexes) do
    walks[i] = along(index)
    local id, seq = walks[i]()
    heads[i] = { id, seq }
  end
  return function()
    local best
    for i, candidate in ipairs(heads) do
      if candidate[1] and (not best or (candidate[2] > heads[best][2]) == newest_first) then best = i end
    end
    if not best then return nil end
    local id, seq = heads[best][1], heads[best][2]
    local next_id, next_seq = walks[best]()
    heads[best] = { next_id, next_seq }
    return id, seq
  end
end

local walk
local few = low and call('ZLEXCOUNT', P .. 'ids', '[' .. low, '[' .. high)
if few and few <= FEW and few < length then
  ways = {}
  walk = among_ids()
elseif ways[2] then
  walk = along_all(ways)
else
  walk = along(ways[1])
end

-- Returns true if id `a` comes before id `b`, compared byte by byte.
local function before(a, b)
  for i = 1, 16 do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return false
end

local function matches(id)
  for _, index in ipairs(all_of) do
    if index ~= ways[1] and not call('ZSCORE', index, id) then return false end
  end
  for _, index in ipairs(none_of) do
    if call('ZSCORE', index, id) then return false end
  end
  if one_of[1] and ways ~= one_of then
    local found = false
    for _, index in ipairs(one_of) do
      if call('ZSCORE', index, id) then
        found = true
        break
      end
    end
    if not found then return false end
  end
  if low and (before(id, low) or before(high, id)) then return false end
  if parent or roots then
    local ancestors = redis.pcall('HGET', P .. 'p:' .. id, 'ancestors')
    ancestors = type(ancestors) == 'string' and ancestors or ''
    if roots and ancestors ~= '' then return false end
    if parent and ancestors:sub(-16) ~= parent then return false end
  end
  return true
end

local answer, bytes, last = { '', '' }, 0, nil
while true do
  local id, seq = walk()
  if not id then break end
  looks = looks - 1
  if matches(id) then
    if #answer - 2 == most or bytes > largest then
      answer[1], answer[2] = int(last), '1'
      break
    end
    local row = record(id)
    answer[#answer + 1] = row
    if row[2] ~= '!' and row[1] then bytes = bytes + #row[7] + #row[8] end
  end
  last = seq
  if looks <= 0 then
    answer[1] = int(last)
    break
  end
end
return answer
