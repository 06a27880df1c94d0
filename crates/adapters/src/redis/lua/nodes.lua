-- Returns the time, then every registered node in no particular order: name, boot, version, epoch, '1' if it has left,
-- end of its lease, time of its loss, '1' if it is draining, labels, address, root slots, and id and path of its state
-- directory.
local answer = { int(now()) }
for _, node in ipairs(call('ZRANGE', P .. 'nodes', 0, -1)) do
  local facts = redis.pcall('HMGET', P .. 'node:' .. node, 'boot', 'version', 'epoch', 'left', 'until', 'lost', 'draining',
    'labels', 'address', 'roots', 'state_dir_id', 'state_dir_path')
  local row = { node }
  for i = 1, 12 do row[i + 1] = not facts.err and facts[i] or '' end
  answer[#answer + 1] = row
end
return answer
