-- recover: fence the dead worker of a slot and make ready again what it owned and had not committed.
-- Atomic and idempotent: the new epoch is a unique number chosen by the supervisor, so that a repeated call does nothing.
--
-- KEYS 1 prefix of the server ("dagnb:")
-- ARGV 1 slot  2 new epoch  3 a task that is not run again as it is, or ""  4 its error as JSON
--      5 0, or when that task began, ns: it was late, and the successor, who knows how often it may be tried, is told
-- answer: tasks that went back to the queue, or -1 when that was done already. Where it is MOST or more there may be
-- further ones, and the same call moves them: the successor must not begin before.

local dagnb, slot, ws = KEYS[1], ARGV[1], KEYS[1] .. 'ws'
local call = redis.call
local MOST = 5000 -- tasks that one call moves, or few more: Redis serves nobody meanwhile
local said = call('HMGET', ws, 'e' .. slot, 's' .. slot, 'r' .. slot)
local dead, rid = said[1], said[3]
local again = dead == ARGV[2]
if again and (said[2] ~= '0' or not rid or rid == '') then return -1 end
call('DEL', dagnb .. 'inbox:' .. slot) -- first, because a script that has begun to write is not refused: memory may be full
call('HSET', ws, 'e' .. slot, ARGV[2], 's' .. slot, '0', 'a' .. slot, '0 0 0 0 0 ||')
if not rid or rid == '' then return 0 end
local run = dagnb .. '{' .. rid .. '}:'
if call('HGET', run .. 'meta', 'state') ~= 'running' then
  call('HSET', ws, 'r' .. slot, '')
  -- what it was writing when its run ended, nobody will ask for
  for _, list in ipairs({ run .. 'pay', run .. 'loose' }) do
    for _, key in ipairs(call('LRANGE', list, 0, -1)) do
      if dead and string.find(key, '.' .. dead .. ':', 1, true) then
        call('UNLINK', key)
        call('LREM', list, 0, key)
      end
    end
  end
  return 0
end

local named = call('EXISTS', run .. 'place') == 1 and column(run .. 'place', 0, '<h', 2)
local count, own, poison = 0, run .. 'own' .. slot, tonumber(ARGV[3])
local function flush(ids, key) -- to the head of the queue, in their order
  for i = 1, floor(#ids / 2) do ids[i], ids[#ids + 1 - i] = ids[#ids + 1 - i], ids[i] end
  for i = 1, #ids, BATCH do call('LPUSH', key, unpack(ids, i, math.min(i + BATCH - 1, #ids))) end
  count = count + #ids
end
local function back(ids) -- those that are named go to this slot again, or it would not own them
  local shared, here = {}, {}
  for _, id in ipairs(ids) do
    local number = tonumber(id) -- nil for "F7": a task that has failed and is not reported yet
    if not number or number ~= poison then
      if not number or (named and named(number) >= 0) then here[#here + 1] = id else shared[#shared + 1] = id end
    end
  end
  flush(shared, run .. 'q')
  flush(here, run .. 'q' .. slot)
end
local piece = call('RPOP', own)
while piece do -- from the end: what comes first is at the head of the queue at last
  local kind = string.sub(piece, 1, 1)
  if kind == 'm' then
    local ids = {}
    for id in string.gmatch(string.sub(piece, 2), '[^,]+') do ids[#ids + 1] = id end
    back(ids)
  elseif kind == 'r' then -- a range of free roots, by position: which tasks these are, stands in `roots`
    local first, n = string.match(piece, '(%d+):(%d+)')
    back(numbers(call('GETRANGE', run .. 'roots', 4 * first, 4 * (first + n) - 1), 1))
  else
    local rest = math.max(1, #piece - 4 * MOST)
    back(numbers(string.sub(piece, rest + 1), 1))
    if rest > 1 then call('RPUSH', own, string.sub(piece, 1, rest)) end
  end
  piece = count < MOST and call('RPOP', own)
end
local finished = call('EXISTS', own) == 0
if finished then call('HSET', ws, 'r' .. slot, '') end
local judged = finished and #ARGV[3] > 0
local late = judged and ARGV[5] ~= '0'
if late then call('LPUSH', run .. 'q' .. slot, 'T' .. ARGV[3] .. ':' .. ARGV[5]) end
local killed = judged and not late
if killed and string.sub(call('HGET', run .. 'way', ARGV[3]) or '', 1, 1) == 'd' then
  killed = call('HSETNX', run .. 'won', ARGV[3], slot) == 1 -- another copy may have been first: then nothing has failed
end
if killed then -- the successor reports it as failed, with everything that needs it
  call('HSET', run .. 'err', ARGV[3], ARGV[4])
  call('LPUSH', run .. 'q' .. slot, 'F' .. ARGV[3])
end
call('SREM', run .. 'idle', slot)
call('SREM', run .. 'act', slot)
call('SADD', run .. 'act', 'x')
if count > 0 then
  for _, other in ipairs(call('SMEMBERS', run .. 'idle')) do
    call('SREM', run .. 'idle', other)
    call('RPUSH', dagnb .. 'inbox:' .. other, 'W')
  end
end
if again then return count end
local position, found = 0, 0 -- events name workers by their position in the run
for s in string.gmatch(call('HGET', run .. 'meta', 'slots'), '%d+') do
  if s == slot then found = position end
  position = position + 1
end
call('XADD', run .. 'ev', '*', 'e', string.char(2, 0) .. struct.pack('<H', found) .. string.rep(string.char(0), 4))
call('RPUSH', dagnb .. 'inbox:' .. slot, 'S' .. rid)
return count
