-- Part of scripts that may take processes of other nodes. The last two arguments are the incarnation and the event
-- cursor from the caller's latest lease renewal; both are empty if the check does not matter or there was no renewal
-- yet. If the namespace has lost data since then, the script returns `behind` and does nothing until the caller's next
-- renewal: processes that wait here may be running elsewhere, and their nodes need time to restore the records.
local SEEN_END, SEEN_INCARNATION = tonumber(table.remove(ARGV)), table.remove(ARGV)
if SEEN_END then
  local meta = call('HMGET', P .. 'meta', 'incarnation', 'cursor')
  local is_behind = meta[1] ~= SEEN_INCARNATION or (tonumber(meta[2] or '') or 0) < SEEN_END
  if meta[1] and is_behind then return { 'behind' } end
end

