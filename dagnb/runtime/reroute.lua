-- reroute: a slot of a run was given up, and what the plan names for it goes to others: what is ready now, and through
-- `lost` what becomes ready later (`place` in sync.lua). Idempotent: said again, it moves what has come since.
--
-- KEYS 1 prefix of the run   2 prefix of the server ("dagnb:")
-- ARGV 1 slot   2 its heir: another slot, or -1 for whoever is free   3 packed events that tell of it, the first time
-- answer: tasks taken from its queue, or -1 when the run has ended. Where it is MOST or more there may be further ones

local run, dagnb, slot, heir = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local call = redis.call
local CHUNK, MOST = 1000, 5000
if call('HGET', run .. 'meta', 'state') ~= 'running' then return -1 end

local before = call('HGETALL', run .. 'lost')
for i = 1, #before, 2 do -- who inherited from it passes that on
  if before[i + 1] == slot then call('HSET', run .. 'lost', before[i], heir) end
end
if call('HSET', run .. 'lost', slot, heir) == 1 then call('XADD', run .. 'ev', '*', 'e', ARGV[3]) end

-- copies of a task: the one named for this slot is needless where another slot has one
local needless = {}
local ways = call('HGETALL', run .. 'way')
for i = 1, #ways, 2 do
  local others, here = {}, false
  for to in string.gmatch(string.match(ways[i + 1], '^d(.*)') or '', '[^,]+') do
    if to == slot then here = true else
      others[#others + 1] = to
      needless[ways[i]] = needless[ways[i]] or to ~= '-1'
    end
  end
  if here then call('HSET', run .. 'way', ways[i], 'd' .. (#others > 0 and table.concat(others, ',') or heir))
  else needless[ways[i]] = nil end
end
local seats = call('HGETALL', run .. 'seat') -- the next that takes a member of its groups gets these
for i = 1, #seats, 2 do
  local void = string.sub(seats[i], 1, 1) == 'x' -- what an attempt has yielded does not count, whatever becomes of the slot
  if seats[i + 1] == slot and not void then call('HDEL', run .. 'seat', seats[i]) end
end

local to = run .. 'q' .. (heir == '-1' and '' or heir)
local count = 0
local ids = call('RPOP', run .. 'q' .. slot, CHUNK)
while ids do -- from the end to the head of the other queue: they are late, and keep their order
  local moved = {}
  for _, id in ipairs(ids) do
    if not tonumber(id) then call('LPUSH', run .. 'q', id) -- "F7": an heir of free tasks does not look into its own queue
    elseif not needless[id] then moved[#moved + 1] = id end
  end
  if #moved > 0 then call('LPUSH', to, unpack(moved)) end
  count = count + #ids
  ids = count < MOST and call('RPOP', run .. 'q' .. slot, CHUNK)
end
for _, piece in ipairs(call('LRANGE', run .. 'own' .. slot, 0, -1)) do -- the root that it was given with the run (call.lua)
  if piece == 'r0:1' then
    call('LPUSH', to, string.format('%d', struct.unpack('<I4', call('GETRANGE', run .. 'roots', 0, 3))))
    count = count + 1
  end
end
call('UNLINK', run .. 'own' .. slot, run .. 'pre' .. slot)
call('SREM', run .. 'idle', slot)
for _, other in ipairs(call('SMEMBERS', run .. 'idle')) do
  call('SREM', run .. 'idle', other)
  call('RPUSH', dagnb .. 'inbox:' .. other, 'W')
end
return count
