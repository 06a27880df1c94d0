-- Stores the output tail of an attempt with its record. ARGV: id, node, epoch, attempt, total size, frames.
local ID, NODE, EPOCH, ATTEMPT, TOTAL, FRAMES = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local h = call('HMGET', P .. 'p:' .. ID, 'rev', 'owner', 'attempt')
if not h[1] then return { 'missing' } end
local refused = fenced(h[2] or '', NODE, EPOCH)
if refused then return refused end
if h[3] ~= ATTEMPT then return { 'later' } end
call('HSET', P .. 'b:' .. ID, 'tail', ATTEMPT .. SEP .. TOTAL .. SEP .. FRAMES)
return { 'ok' }
