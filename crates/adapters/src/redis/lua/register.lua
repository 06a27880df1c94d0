-- Registers a node with a new epoch. ARGV: node, boot, version, duration of its lease (empty if leases never expire),
-- token, id and path of its state directory (both empty if unknown), grace (empty if leases never expire), and settings
-- that all nodes should share.
--
-- Returns the epoch, the token, and then name and settings of each node with other settings.
--
-- A repeated call with the same token returns the same epoch. In an emptied namespace nothing is written, because the
-- namespace has to be created first. A name belongs to one state directory:
-- - While the lease lasts, another state directory gets `taken` and the time since the last lease renewal.
-- - While the node owns processes, which only its state directory can know about, another one gets `held`, the number
--   of
--   these processes, and the time until the node counts as lost (empty if it has left and is expected back).
-- - After that, the name and its processes are taken.
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
call('HSET', key, 'epoch', epoch, 'token', token, 'boot', boot, 'version', version, 'left', '0', 'lost', '',
  'state_dir_id', home, 'state_dir_path', place, 'labels', '', 'address', '', 'roots', '', 'terms', terms)
call('ZADD', P .. 'nodes', 0, node)
call('SREM', P .. 'lost', node)
renew_lease(node, lasts)
-- The node must process again the updates that its previous run had received.
if first_due() or has_waiting() or call('EXISTS', P .. 'pending:' .. node) == 1 then update_node(node) end
-- Callers that wait under the old lease must learn that it is fenced.
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
