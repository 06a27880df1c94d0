-- Raises the counters of the namespace to at least the given values. ARGV: event cursor, sequence number.
if not policy_version() then return { 'empty' } end
-- Reserve, because other nodes may have seen slightly later values than the node that calls first.
local MARGIN = 100000
local function raise(what, least)
  if tonumber(least) > tonumber(call('HGET', P .. 'meta', what) or '0') then
    call('HSET', P .. 'meta', what, int(tonumber(least) + MARGIN))
    return true
  end
end
if raise('cursor', ARGV[2]) then
  -- A new incarnation tells later callers that data was lost; the event cursor no longer shows it.
  local meta = call('HMGET', P .. 'meta', 'incarnation', 'cursor')
  call('HSET', P .. 'meta', 'incarnation', redis.sha1hex((meta[1] or '') .. ':' .. meta[2]))
end
raise('seq', ARGV[3])
return { 'ok' }
