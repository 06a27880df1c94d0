-- Prunes ended processes. Returns the number of processes that were ever pruned, and the ids that are gone. ARGV: ids.
--
-- An id that is already gone counts as pruned, because this call may have been sent twice. Damaged processes stay.
local MAX_TOMBSTONES = 100000
-- Number of latest replies of each process that its tombstone keeps.
local MAX_TOMBSTONE_ANSWERS = 4
local gone = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local h, fault = sound_head(id)
  local b = redis.pcall('HMGET', P .. 'b:' .. id, 'labels', 'answers')
  local is_sound = not fault and not b.err
  if is_sound and not h then
    gone[#gone + 1] = id
  elseif is_sound and h.slot_state == '3' and not due_of(h) then
    -- Removals come first: a server without free memory accepts no write before a removal, and all writes after it.
    place(id, h, nil)
    call('DEL', P .. 'p:' .. id, P .. 'b:' .. id, P .. 'actions:' .. id)
    call('HSET', P .. 'tombstones', id, (b[1] or ''):sub(1, 16) .. (b[2] or ''):sub(-MAX_TOMBSTONE_ANSWERS * ANSWER))
    call('RPUSH', P .. 'tombstones_by_time', id)
    call('HINCRBY', P .. 'meta', 'pruned', 1)
    gone[#gone + 1] = id
  end
end
for _ = MAX_TOMBSTONES + 1, call('LLEN', P .. 'tombstones_by_time') do
  call('HDEL', P .. 'tombstones', call('LPOP', P .. 'tombstones_by_time'))
end
return { call('HGET', P .. 'meta', 'pruned') or '0', gone }
