-- Stores a pending action for the owner of a process. ARGV: id, operation id, body, maximum number of pending actions.
local ID, OP, BODY, MAX_OPEN = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local function enqueue()
  local h = head(ID)
  if not h then
    local before = answer_of_tombstone(ID, OP)
    return before and { 'ok', before } or { 'missing' }
  end
  local answers = bodies(ID, 'answers')[1]
  local before = answer_in(answers, OP)
  if before then return { 'ok', before } end
  local open = tonumber(h.pending)
  if open >= MAX_OPEN then return { 'full' } end
  needs('list', 'actions:' .. ID)
  if h.owner ~= '' then needs('zset', 'pending:' .. h.owner) end
  local no = int(tonumber(h.action_seq) + 1)
  call('RPUSH', P .. 'actions:' .. ID, no, BODY)
  call('HSET', P .. 'p:' .. ID, 'action_seq', no, 'pending', int(open + 1))
  call('HSET', P .. 'b:' .. ID, 'answers', with_answer(answers, OP, no))
  if h.owner ~= '' then
    call('ZADD', P .. 'pending:' .. h.owner, h.seq, ID)
    update_node(h.owner)
  elseif not call('ZSCORE', P .. 'leased', mark_of(ID, h)) then
    local first = first_due()
    call('ZADD', P .. 'due', h.queued, mark_of(ID, h))
    update_if_earlier(first)
  end
  return { 'ok', no }
end

local answer = enqueue()
notify()
return answer
