-- Processes that were set aside because they were damaged: whoever was mended by hand has its place again.

-- So many are looked at in one step.
local LOOKED_AT = 16

local function look_again(id)
  local h = head(id)
  if not h then return end
  local b = bodies(id, 'life', 'spec', 'unread')
  if not b[1] or not b[2] or b[3] == body_mark(id) then return end
  needs('list', 'w:' .. id)
  if h.standing == '0' then
    needs_queue(nil, h)
    queue_moved(id, nil, h)
    news_of_waiter(h.class)
  elseif h.owner ~= '' then
    needs('zset', 'owned:' .. h.owner)
    call('ZADD', P .. 'owned:' .. h.owner, h.seq, id)
    if (call('HGET', P .. 'node:' .. h.owner, 'lost') or '') ~= '' then call('SADD', P .. 'lost', h.owner) end
  elseif b[3] then
    needs_queue(nil, h)
    queue_moved(id, nil, h)
    local first = first_due()
    call('ZADD', P .. 'due', due_of(h), mark_of(id, h))
    tell_if_earlier(first)
  end
  if b[3] then call('HDEL', P .. 'b:' .. id, 'unread') end
  call('HDEL', P .. 'aside', id)
end

-- Looks at some of them, and next time at others.
local function mend_aside()
  if call('EXISTS', P .. 'aside') == 0 then return end
  local page = call('HSCAN', P .. 'aside', call('HGET', P .. 'meta', 'aside_at') or '0', 'COUNT', LOOKED_AT)
  call('HSET', P .. 'meta', 'aside_at', page[1])
  -- A small hash comes whole, whatever was asked for.
  local count = #page[2] / 2
  local first = count > LOOKED_AT and math.floor(now() / 1000) * LOOKED_AT or 0
  for i = first, first + math.min(count, LOOKED_AT) - 1 do pcall(look_again, page[2][i % count * 2 + 1]) end
end
