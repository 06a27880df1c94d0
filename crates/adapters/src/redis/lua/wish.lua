-- Leaves an order for the owner of a process.
local ID, OP, BODY, MOST = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local function wish()
  local h = head(ID)
  if not h then
    local before = answer_after_sweep(ID, OP)
    return before and { 'ok', before } or { 'missing' }
  end
  local answers = bodies(ID, 'answers')[1]
  local before = answer_in(answers, OP)
  if before then return { 'ok', before } end
  local open = tonumber(h.wishes)
  if open >= MOST then return { 'full' } end
  needs('list', 'w:' .. ID)
  if h.owner ~= '' then needs('zset', 'wished:' .. h.owner) end
  local no = int(tonumber(h.wish_no) + 1)
  call('RPUSH', P .. 'w:' .. ID, no, BODY)
  call('HSET', P .. 'p:' .. ID, 'wish_no', no, 'wishes', int(open + 1))
  call('HSET', P .. 'b:' .. ID, 'answers', with_answer(answers, OP, no))
  if h.owner ~= '' then
    call('ZADD', P .. 'wished:' .. h.owner, h.seq, ID)
    news_for(h.owner)
  elseif not call('ZSCORE', P .. 'handed', mark_of(ID, h)) then
    local first = first_due()
    call('ZADD', P .. 'due', h.queued, mark_of(ID, h))
    tell_if_earlier(first)
  end
  return { 'ok', no }
end

local answer = wish()
ring()
return answer
