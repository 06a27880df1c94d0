-- The latest attempt of a process and how it stands, as it is kept: whoever asks waits as for a write. ARGV: its id.
local h = head(ARGV[2])
if not h then return { 'missing' } end
found()
return { 'ok', h.attempt, h.slot_state }
