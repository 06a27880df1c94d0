-- A node joins with a new epoch. ARGV: node, boot, version, how long its lease lasts (empty for ever), token, its home
-- and where that is (both empty if it is not told), how long after its end a node's work is its own (empty if leases last
-- for ever), and what it keeps to.
--
-- Answers the epoch, the token, and then name and terms of each node that keeps to something else.
--
-- While its lease lasts the name belongs to the home that has it: another one is answered how long ago that was heard.
-- So it does while anything is owned under it, which only that home can know about: another one is answered how much that
-- is, and in how long it is called lost (empty if the node left, and is waited for). It is taken when that is over.
-- The same token again gives the same epoch. In a namespace that somebody emptied nothing is written: it is founded first.
if not policy_version() then return { 'empty' } end
local node, boot, version, lasts, token = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local home, place, grace, terms = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local key = P .. 'node:' .. node
local was = call('HMGET', key, 'epoch', 'token', 'state_dir_id', 'until', 'left', 'lost', 'state_dir_path')
if was[2] == token then
  found()
  return { 'ok', was[1], token }
end
local there, lasts_until = was[3] or '', tonumber(was[4] or '')
if home ~= '' and there ~= '' and there ~= home then
  local left = was[5] == '1'
  if not left and lasts_until and lasts_until > now() then
    return { 'taken', there, was[7] or '', int(math.max(0, now() + tonumber(lasts ~= '' and lasts or 0) - lasts_until)) }
  end
  local owned = call('ZCARD', P .. 'owned:' .. node)
  if owned > 0 then
    local lost = was[6] and was[6] ~= ''
    local free = not left and grace ~= '' and lasts_until and lasts_until + tonumber(grace)
    if not lost and not (free and free <= now()) then
      return { 'held', there, was[7] or '', owned, free and int(free - now()) or '' }
    end
    if not lost then mark_lost(node) end
    disown_all(node)
  end
end
extend_after_outage(lasts)
local epoch = next_epoch(node)
call('HSET', key, 'epoch', epoch, 'token', token, 'boot', boot, 'version', version, 'left', '0', 'lost', '', 'state_dir_id', home,
  'state_dir_path', place, 'labels', '', 'address', '', 'roots', '', 'terms', terms)
call('ZADD', P .. 'nodes', 0, node)
call('SREM', P .. 'lost', node)
renew_lease(node, lasts)
-- What an earlier life of the node took in is new to this one.
if first_due() or has_waiting() or call('EXISTS', P .. 'pending:' .. node) == 1 then update_node(node) end
-- Whoever waits under the older lease has to be told.
has_updates = true
notify()
local answer = { 'ok', epoch, token }
for _, other in ipairs(call('ZRANGE', P .. 'nodes', 0, -1)) do
  local known = redis.pcall('HMGET', P .. 'node:' .. other, 'terms', 'left', 'lost')
  local is_there = not known.err and known[2] ~= '1' and (known[3] or '') == ''
  if is_there and (known[1] or '') ~= '' and known[1] ~= terms then
    answer[#answer + 1] = other
    answer[#answer + 1] = known[1]
  end
end
return answer
