-- The time, then every node that ever registered and was not forgotten, in no order: its name, boot, version, epoch,
-- whether it left, until when its lease lasts, when that ended if it is lost, whether it drains, its offer, its home, and
-- where that is.
local answer = { int(now()) }
for _, node in ipairs(call('ZRANGE', P .. 'nodes', 0, -1)) do
  local facts = redis.pcall('HMGET', P .. 'node:' .. node, 'boot', 'version', 'epoch', 'left', 'until', 'lost', 'draining',
    'labels', 'address', 'roots', 'state_dir_id', 'state_dir_path')
  local row = { node }
  for i = 1, 12 do row[i + 1] = not facts.err and facts[i] or '' end
  answer[#answer + 1] = row
end
return answer
