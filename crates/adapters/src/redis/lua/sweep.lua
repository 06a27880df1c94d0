-- Lets go of processes that have ended, and tells which of them are gone and how many ever went. ARGV: their ids.
--
-- One that is gone already counts as gone: it was this sweep that was sent twice, or another one that was faster.
-- One that is damaged stays.
local KEPT_SWEPT = 100000
-- The last answers of each, which outlive it.
local KEPT_ANSWERS = 4
local gone = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local h, fault = sound_head(id)
  local b = redis.pcall('HMGET', P .. 'b:' .. id, 'filed', 'answers')
  local is_sound = not fault and not b.err
  if is_sound and not h then
    gone[#gone + 1] = id
  elseif is_sound and h.standing == '3' and not due_of(h) then
    -- What is taken away comes first: a server without memory takes nothing before that, and all after it.
    place(id, h, nil)
    call('DEL', P .. 'p:' .. id, P .. 'b:' .. id, P .. 'w:' .. id)
    call('HSET', P .. 'tombs', id, (b[1] or ''):sub(1, 16) .. (b[2] or ''):sub(-KEPT_ANSWERS * ANSWER))
    call('RPUSH', P .. 'tombs_in_order', id)
    call('HINCRBY', P .. 'meta', 'swept', 1)
    gone[#gone + 1] = id
  end
end
for _ = KEPT_SWEPT + 1, call('LLEN', P .. 'tombs_in_order') do
  call('HDEL', P .. 'tombs', call('LPOP', P .. 'tombs_in_order'))
end
return { call('HGET', P .. 'meta', 'swept') or '0', gone }
