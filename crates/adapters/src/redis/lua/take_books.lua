-- Takes in what a store keeps beside processes and events. ARGV: the sort of what follows, then that.
local sort = ARGV[2]
if sort == 'marks' then
  -- The version of the policy, how many were ever let go, the latest seq, and the place of the newest event.
  call('HSET', P .. 'policy', 'version', ARGV[3])
  call('HSET', P .. 'meta', 'swept', ARGV[4], 'seq', ARGV[5], 'cursor', ARGV[6])
elseif sort == 'nodes' then
  for i = 3, #ARGV, 7 do
    call('HSET', P .. 'node:' .. ARGV[i], 'boot', ARGV[i + 1], 'version', ARGV[i + 2], 'epoch', ARGV[i + 3],
      'left', ARGV[i + 4], 'home', ARGV[i + 5], 'place', ARGV[i + 6], 'until', '', 'lost', '')
    call('ZADD', P .. 'nodes', 0, ARGV[i])
  end
elseif sort == 'served' then
  -- The one served longest ago first.
  for i = 3, #ARGV do serve(ARGV[i]) end
  for _, key in ipairs(call('ZRANGE', P .. 'keys', 0, -1)) do
    for _, lane in ipairs(call('SMEMBERS', P .. 'lanes:' .. key)) do enlist(key, lane) end
  end
elseif sort == 'launch' then
  for i = 3, #ARGV, 2 do call('HSET', P .. 'launch', ARGV[i], ARGV[i + 1]) end
elseif sort == 'tombs' then
  for i = 3, #ARGV, 2 do
    if call('HSET', P .. 'tombs', ARGV[i], ARGV[i + 1]) == 1 then call('RPUSH', P .. 'tombs_in_order', ARGV[i]) end
  end
end
return { 'ok' }
