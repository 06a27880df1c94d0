-- Returns the latest attempt of a process and its slot state as stored. The caller waits for replicas as after a write.
-- ARGV: id.
local h = head(ARGV[2])
if not h then return { 'missing' } end
found()
return { 'ok', h.attempt, h.slot_state }
