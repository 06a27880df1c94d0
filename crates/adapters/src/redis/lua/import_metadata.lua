-- Imports the data of a store other than processes and events. ARGV: the kind of data, then the data.
local sort = ARGV[2]
if sort == 'marks' then
  -- Version of the policy, number of processes that were ever pruned, latest sequence number, cursor after the newest
  -- event.
  call('HSET', P .. 'policy', 'version', ARGV[3])
  call('HSET', P .. 'meta', 'pruned', ARGV[4], 'seq', ARGV[5], 'cursor', ARGV[6])
elseif sort == 'nodes' then
  for i = 3, #ARGV, 7 do
    call('HSET', P .. 'node:' .. ARGV[i], 'boot', ARGV[i + 1], 'version', ARGV[i + 2], 'epoch', ARGV[i + 3],
      'left', ARGV[i + 4], 'state_dir_id', ARGV[i + 5], 'state_dir_path', ARGV[i + 6], 'until', '', 'lost', '')
    call('ZADD', P .. 'nodes', 0, ARGV[i])
  end
elseif sort == 'served' then
  -- Keys in the order in which they were served, the oldest first.
  for i = 3, #ARGV do record_service(ARGV[i]) end
  for _, key in ipairs(call('ZRANGE', P .. 'keys', 0, -1)) do
    for _, placement in ipairs(call('SMEMBERS', P .. 'placements:' .. key)) do refresh_entry(key, placement) end
  end
elseif sort == 'launch' then
  for i = 3, #ARGV, 2 do call('HSET', P .. 'launch', ARGV[i], ARGV[i + 1]) end
elseif sort == 'tombstones' then
  for i = 3, #ARGV, 2 do
    local is_new = call('HSET', P .. 'tombstones', ARGV[i], ARGV[i + 1]) == 1
    if is_new then call('RPUSH', P .. 'tombstones_by_time', ARGV[i]) end
  end
end
return { 'ok' }
