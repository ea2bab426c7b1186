-- turns: where a worker of several live runs works next, and what each has had (dagnb.runtime.turns). Hints only: nothing
-- here is state that a run needs, and a call that comes twice shifts a share by a turn.
--
-- KEYS 1 prefix of the server ("dagnb:")
-- ARGV 1 slot   2 run that the worker is in, or ""   3 µs that it has worked there and not told yet
--      4 "new": leave that only for a run that has never been served; "less": also for one that was served less;
--        "any": there is nothing to do here
--      5 now, ns   6 µs that a turn lasts at least
-- answer: where to go, "" to stay; then all live runs of the slot, oldest first

local dagnb, slot, here, mode, turn = KEYS[1], ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[6])
local call = redis.call
local REACH = 200 -- runs that are looked at, the oldest: Redis serves nobody meanwhile

local live = {}
for _, run in ipairs(call('LRANGE', dagnb .. 'todo:' .. slot, 0, REACH - 1)) do
  if call('HEXISTS', dagnb .. 'runs', run) == 1 then live[#live + 1] = run end
end
if #live == 0 or (#live == 1 and live[1] == here) then return { '', unpack(live) } end

if here == '' then -- what a new worker owns already it finds in one run; `sync` refuses it in another before that is done
  for _, run in ipairs(live) do
    if call('EXISTS', dagnb .. '{' .. run .. '}:own' .. slot) == 1 then return { run, unpack(live) } end
  end
end

local function ready(run) -- whether there is something that this slot may claim
  local key = dagnb .. '{' .. run .. '}:'
  if call('EXISTS', key .. 'q' .. slot, key .. 'q') > 0 then return true end
  local roots = call('STRLEN', key .. 'roots') / 4
  if roots > tonumber(call('GET', key .. 'root') or '0') then return true end
  return call('ZCOUNT', key .. 'later', '-inf', ARGV[5]) > 0
end

local book = dagnb .. 'served'
local served, works, mine, least = {}, {}, nil, nil
for i, had in ipairs(call('HMGET', book, unpack(live))) do
  if live[i] == here then mine = i else works[i] = ready(live[i]) end
  served[i] = tonumber(had) -- nil: never
  if served[i] and (works[i] or mine == i) and (not least or served[i] < least) then least = served[i] end
end
call('DEL', dagnb .. 'turn') -- first, because a script that has begun to write is not refused: memory may be full
local function note(i, amount)
  served[i] = amount
  call('HSET', book, live[i], string.format('%.0f', amount))
end
if mine then note(mine, (served[mine] or least or 0) + tonumber(ARGV[3])) end
least = least or (mine and served[mine]) or 0

local best
for i, run in ipairs(live) do
  if works[i] then
    local sooner = not best or (served[best] and (not served[i] or served[i] < served[best]))
    local may = not served[i] or mode == 'any' or (mode == 'less' and mine and served[i] < served[mine])
    if sooner and may then best = i end
  elseif i ~= mine and served[i] and served[i] < least then note(i, least) -- who has nothing to do saves nothing up
  end
end
if not best then
  for i, run in ipairs(live) do -- whoever has too much there shall know
    if i ~= mine and mode == 'any' then call('SADD', dagnb .. '{' .. run .. '}:idle', slot) end
  end
  return { '', unpack(live) }
end
note(best, (served[best] or least) + turn) -- ahead, so that the next worker that looks goes elsewhere
return { live[best], unpack(live) }
