-- Makes the marks of the namespace at least these. ARGV: the place after the newest event, and the latest sequence.
if not policy_version() then return { 'empty' } end
-- Others may have seen a little more than whoever asks first.
local MARGIN = 100000
local function raise(what, least)
  if tonumber(least) > tonumber(call('HGET', P .. 'meta', what) or '0') then
    call('HSET', P .. 'meta', what, int(tonumber(least) + MARGIN))
    return true
  end
end
if raise('cursor', ARGV[2]) then
  -- Who comes later must see that something was lost, though the place after the newest event tells it no more.
  local meta = call('HMGET', P .. 'meta', 'incarnation', 'cursor')
  call('HSET', P .. 'meta', 'incarnation', redis.sha1hex((meta[1] or '') .. ':' .. meta[2]))
end
raise('seq', ARGV[3])
return { 'ok' }
