-- For scripts that may take what belongs to another node. The last two arguments are what the caller was told last with a
-- sign of life: the mark of the founding and the place after the newest event. Both are empty if it does not matter, or the
-- caller was told nothing yet. From a namespace that lost something since then the caller gets nothing until it was told of
-- that: what waits here may run elsewhere, and its node had no time to give it back.
local SEEN_END, SEEN_INCARNATION = tonumber(table.remove(ARGV)), table.remove(ARGV)
if SEEN_END then
  local meta = call('HMGET', P .. 'meta', 'incarnation', 'cursor')
  local is_behind = meta[1] ~= SEEN_INCARNATION or (tonumber(meta[2] or '') or 0) < SEEN_END
  if meta[1] and is_behind then return { 'behind' } end
end

