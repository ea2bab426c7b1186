-- recover: fence the dead worker of a slot and make ready again what it owned and had not committed.
-- Atomic and idempotent: the new epoch is a unique number chosen by the supervisor, so that a repeated call does nothing.
--
-- KEYS 1 prefix of the server ("dagnb:")
-- ARGV 1 slot  2 new epoch  3 a task that is not run again as it is, or ""  4 its error as JSON
--      5 0, or when that task began, ns: it was late, and the successor, who knows how often it may be tried, is told
-- answer: tasks that went back to the queue, or -1 when this epoch was set already

local dagnb, slot, ws = KEYS[1], ARGV[1], KEYS[1] .. 'ws'
local call = redis.call
local dead = call('HGET', ws, 'e' .. slot)
if dead == ARGV[2] then return -1 end
local rid = call('HGET', ws, 'r' .. slot)
call('HSET', ws, 'e' .. slot, ARGV[2], 's' .. slot, '0', 'a' .. slot, '0 0 0 0 0 |', 'r' .. slot, '')
call('DEL', dagnb .. 'inbox:' .. slot)
if not rid or rid == '' then return 0 end
local run = dagnb .. '{' .. rid .. '}:'
if call('HGET', run .. 'meta', 'state') ~= 'running' then -- what it was writing when its run ended, nobody will ask for
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

local named = call('EXISTS', run .. 'place') == 1
local count, shared, here = 0, {}, {}
local function flush(ids, key) -- to the head of the queue, in their order
  for i = 1, math.floor(#ids / 2) do ids[i], ids[#ids + 1 - i] = ids[#ids + 1 - i], ids[i] end
  for i = 1, #ids, 1000 do call('LPUSH', key, unpack(ids, i, math.min(i + 999, #ids))) end
  count = count + #ids
end
local function add(id)
  if id == ARGV[3] then return end
  local number = tonumber(id) -- nil for "F7": a task that has failed and is not reported yet
  if named and number then
    local to = struct.unpack('<h', call('GETRANGE', run .. 'place', 2 * number, 2 * number + 1))
    if to >= 0 then here[#here + 1] = id; return end -- named for this slot, or it would not own it
  elseif not number then
    here[#here + 1] = id
    return
  end
  shared[#shared + 1] = id
end
local function several(packed, from) -- packed u32
  for p = from, #packed, 4000 do
    local length = math.min(1000, (#packed + 1 - p) / 4)
    local ids = { struct.unpack('<' .. string.rep('I4', length), packed, p) }
    for i = 1, length do add(tostring(ids[i])) end
  end
end
local own = run .. 'own' .. slot
for _, piece in ipairs(call('LRANGE', own, 0, -1)) do
  local kind = string.sub(piece, 1, 1)
  if kind == 'm' then
    for id in string.gmatch(string.sub(piece, 2), '[^,]+') do add(id) end
  elseif kind == 'p' or kind == 'l' then
    several(piece, 2)
  else -- a range of free roots, by position: which tasks these are, stands in `roots`
    local first, n = string.match(piece, '(%d+):(%d+)')
    local packed = call('GETRANGE', run .. 'roots', 4 * first, 4 * (first + n) - 1)
    several(packed, 1)
  end
end
flush(shared, run .. 'q')
flush(here, run .. 'q' .. slot)
call('DEL', own)
local late = #ARGV[3] > 0 and ARGV[5] ~= '0'
if late then call('LPUSH', run .. 'q' .. slot, 'T' .. ARGV[3] .. ':' .. ARGV[5]) end
local killed = #ARGV[3] > 0 and not late
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
local position, found = 0, 0 -- events name workers by their position in the run
for s in string.gmatch(call('HGET', run .. 'meta', 'slots'), '%d+') do
  if s == slot then found = position end
  position = position + 1
end
call('XADD', run .. 'ev', '*', 'e', string.char(2, 0) .. struct.pack('<H', found) .. string.rep(string.char(0), 4))
call('RPUSH', dagnb .. 'inbox:' .. slot, 'S' .. rid)
return count
