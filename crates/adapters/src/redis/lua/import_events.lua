-- Imports events, oldest first. ARGV: for each its cursor, id, revision, index and body.
for i = 2, #ARGV, 5 do
  if tonumber(ARGV[i]) > tonumber(call('HGET', P .. 'meta', 'cursor') or '0') then
    call('XADD', P .. 'ev', ARGV[i] .. '-0', 'i', ARGV[i + 1], 'r', ARGV[i + 2], 'n', ARGV[i + 3], 'b', ARGV[i + 4])
    call('HSET', P .. 'meta', 'cursor', ARGV[i])
  end
end
has_updates = true
notify()
return { 'ok' }
