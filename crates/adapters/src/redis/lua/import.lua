-- Imports processes of another store. ARGV: for each the number of arguments that follow, then id, revision, sequence
-- number, owner, number of the latest action, live stats, launch key, fingerprint of the launch, the fields of a record
-- in the order of `submit`, and number and body of each pending action.
local at = 2
while at <= #ARGV do
  local a = at
  at = at + 1 + tonumber(ARGV[a])
  local id = ARGV[a + 1]
  if call('EXISTS', P .. 'p:' .. id) == 0 then
    local n = {
      rev = ARGV[a + 2], seq = ARGV[a + 3], owner = ARGV[a + 4], owner_lost = '', action_seq = ARGV[a + 5],
      slot_state = ARGV[a + 13], status = ARGV[a + 14], closing = ARGV[a + 15], attempt = ARGV[a + 16],
      key = ARGV[a + 17], class = ARGV[a + 18], priority = ARGV[a + 19], due = ARGV[a + 20],
      ancestors = ARGV[a + 21], node = ARGV[a + 22], queued = ARGV[a + 23], completed = ARGV[a + 24],
      if_claimed = ARGV[a + 25],
    }
    local pending = 0
    for i = a + 26, at - 1, 2 do
      call('RPUSH', P .. 'actions:' .. id, ARGV[i], ARGV[i + 1])
      pending = pending + 1
    end
    n.pending = int(pending)
    call('HSET', P .. 'b:' .. id, 'life', ARGV[a + 9], 'spec', ARGV[a + 10], 'labels', ARGV[a + 12] .. ARGV[a + 11])
    if ARGV[a + 6] ~= '' then call('HSET', P .. 'b:' .. id, 'live_stats', ARGV[a + 6]) end
    if ARGV[a + 7] ~= '' then call('HSET', P .. 'launch', ARGV[a + 7], id .. ARGV[a + 8]) end
    if tonumber(n.seq) > tonumber(call('HGET', P .. 'meta', 'seq') or '0') then call('HSET', P .. 'meta', 'seq', n.seq) end
    save(id, nil, n)
    place(id, nil, n)
  end
end
notify()
return { 'ok' }
