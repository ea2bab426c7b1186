-- sync: a worker's only way to change a run. One request carries what it finished and what it wants; the answer carries
-- what it gets. Atomic, and idempotent by number: a request that is sent again gets the stored answer and changes nothing.
--
-- KEYS 1 prefix of the run ("dagnb:{<run>}:")   2 prefix of the server ("dagnb:")
-- ARGV
--  1 slot            2 epoch           3 number of this request     4 run id
--  5 wanted tasks (negative: prefetch at most so many, only if there is plenty)
--  6 tasks finished here since the last commit (0: this request commits nothing)
--  7 own: "" keep, "p" or "l" + packed u32: everything this slot owns and has not run (replaces what is recorded);
--    "l": the first to run is announced, and nobody knows when this slot is at the others
--  8 packed events   9 mean task duration here, ns (0 unknown, negative: expected; "1200=": hardly other than told before)
-- 10 now, ns   11 workers of the run   12 free roots, 0 where it is known that all were handed out
-- 13 packed i16 places, one for each decrement ("" when no task has a named worker)
-- 14 payload keys that this commit refers to, comma separated
-- 15 packed u32: children whose counters fall, ascending   17 by how much, likewise
-- 16 surplus ready tasks; "9:4": this slot leaves the run, gets nothing, and the first 4 stay in its own queue
-- 18 blobs   19 kept values
-- 20 notes          21 skipped tasks
-- 22 "" in a run without copies and groups, else "-", or "b7": task 7 of several copies begins, or "c7": this commit
--    is that of a copy of task 7 and of nothing else; "c7*": and its value stayed in this worker
-- 23 packed events instead of 8, if another copy was first
-- 24 values that some slot wants early: "slot task:blob", comma separated
-- 25 large values that go out: "task:readers", or "task:readers:key:chunks" for one in Redis; comma separated
-- 26 how often tasks of this commit have read such: "task:times"; the last one frees what is in Redis
-- 27 what else there may be: "q" tasks that are named for this slot, "l" tasks that wait for their next try
-- 28.. surplus, blobs × 3 (name, packed u32: runs of tasks whose values it has, as first and count, ascending; bytes),
--      kept × 2 (task, bytes), notes × 3 ("err", "log" or "tries", task, JSON; "later", task,
--      when), skipped
--
-- answer {"F"} fenced: declared dead; {"G"} gap: Redis has lost requests of this worker; else
--        {"rootstart rootcount idle finished active ids|blobs|further blobs", bytes of blobs …}
--        Inputs of the granted tasks come along as far as INPUTS and CARRIED allow; the worker fetches the others.
-- Key table: dagnb/runtime/keys.py. Protocol: ARCHITECTURE.md, "Sync and recover".

local run, dagnb = KEYS[1], KEYS[2]
local slot, ws = ARGV[1], KEYS[2] .. 'ws'
local call = redis.call
local CHUNK = 1000 -- unpack takes fewer than 8,000
local CLAIM = 500 -- tasks that one request gets from the common queue at most: what each needs has to be looked up
local INPUTS = 2000 -- dependencies that are looked up for one claim; `INPUTS` in fetch.py is the same
local CARRIED = 2 ^ 20 -- bytes of blobs after which further ones do not come with the answer
local TINY = 5e4 -- mean ns per task up to which what becomes ready stays together
local HAND = 12e3 -- ns per task up to which it costs less to do it than to hand its value over: one worker does them all
local WORTH = 3e5 -- ns of work in the queue, beyond what it costs to hand it over, from which a second worker is called

local function answer(line)
  local out = { line }
  local names = {}
  for name in string.gmatch(string.match(line, '|([^|]*)'), '[^,]+') do names[#names + 1] = name end
  for i = 1, #names, CHUNK do
    local got = call('HMGET', run .. 'blob', unpack(names, i, math.min(i + CHUNK - 1, #names)))
    for j = 1, #got do out[#out + 1] = got[j] end
  end
  return out
end

local state = call('HMGET', ws, 'e' .. slot, 's' .. slot, 'a' .. slot, 'r' .. slot)
if state[1] ~= ARGV[2] then return { 'F' } end
if state[2] == ARGV[3] then return answer(state[3]) end
if tonumber(state[2]) + 1 ~= tonumber(ARGV[3]) then return { 'G' } end
local facts = call('HMGET', run .. 'meta', 'state', 'base', 'width')
if facts[1] ~= 'running' then
  for key in string.gmatch(ARGV[14], '[^,]+') do -- nobody will ask for these any more
    call('UNLINK', key)
    call('LREM', run .. 'pay', 0, key)
    call('LREM', run .. 'loose', 0, key)
  end
  call('HSET', ws, 's' .. slot, ARGV[3], 'a' .. slot, '0 0 0 1 0 ||') -- its run may be another by now (call.lua)
  return { '0 0 0 1 0 ||' }
end
local other = state[4] or '' -- who comes from another run must own nothing there: `recover` looks in one run only
if other ~= '' and other ~= ARGV[4] and call('EXISTS', dagnb .. '{' .. other .. '}:own' .. slot) == 1 then return { 'G' } end
for key in string.gmatch(ARGV[14], '[^,]+') do -- a payload can be rolled back before the commit that names it is written
  if call('EXISTS', key) == 0 then return { 'G' } end
end

call('HSET', ws, 's' .. slot, ARGV[3], 'r' .. slot, ARGV[4]) -- first write: out of memory refuses all or nothing
local function close(line)
  call('HSET', ws, 'a' .. slot, line)
  return { line }
end
local at = 28
local annotated = #ARGV[22] > 0
local second = false -- another copy of this task was first: what this one has done changes nothing
local events = ARGV[8]
if #ARGV[22] > 1 then
  local id = string.match(ARGV[22], '%d+')
  local kind = string.sub(ARGV[22], 1, 1)
  local first
  if kind == 'c' then first = call('HSETNX', run .. 'won', id, slot .. string.match(ARGV[22], '%*?$')) == 1
  else first = call('HEXISTS', run .. 'won', id) == 0 end
  if not first then
    events = ARGV[23]
    second = kind == 'c'
  end
end
local function take(count, width, command, key)
  for i = 0, second and -1 or count - 1, CHUNK do
    local last = math.min(i + CHUNK, count)
    call(command, key, unpack(ARGV, at + i * width, at + last * width - 1))
  end
  at = at + count * width
end

-- what becomes ready: mine as far as wanted, the rest to its place
local want = tonumber(ARGV[5])
local prefetch = 0
if want < 0 then prefetch = -want; want = 0 end
local most = math.min(want, CLAIM)
local mean, told = string.match(ARGV[9], '(-?%d+)(=?)')
mean = tonumber(mean)
local usual = told == '' and mean -- to be noted: another than before
mean = math.abs(mean)
local workers = tonumber(ARGV[11])
local mine, fresh, free, woken = {}, {}, {}, {}
local function seated(id, group) -- whether this slot may have a task of a group: who takes the first gets all
  local seat = call('HGET', run .. 'seat', group)
  if not seat or seat == slot then
    if not seat then call('HSET', run .. 'seat', group, slot) end
    return true
  end
  call('RPUSH', run .. 'q' .. seat, id)
  woken[tonumber(seat)] = true
  return false
end
local function admit(id) -- whether a task of the queues, about which there is more to know, may be claimed here
  local way = call('HGET', run .. 'way', id)
  if not way then return true end
  if string.sub(way, 1, 1) == 'g' then return seated(id, string.sub(way, 2)) end
  local won = call('HGET', run .. 'won', id)
  return not won or string.sub(won, -1) == '*' -- a copy that nobody needs is dropped
end
local lost -- slot that was given up → who has its tasks now (reroute.lua)
local function heir(to)
  if not lost then
    lost = {}
    local found = call('HGETALL', run .. 'lost')
    for i = 1, #found, 2 do lost[tonumber(found[i])] = tonumber(found[i + 1]) end
  end
  return lost[to] or to
end
local place
function place(id, to)
  if to >= 0 then to = heir(to) end
  if to == -2 then
    local way = call('HGET', run .. 'way', id)
    if string.sub(way, 1, 1) == 'g' then
      local seat = call('HGET', run .. 'seat', string.sub(way, 2))
      if seat then place(id, tonumber(seat))
      elseif #mine < most and seated(id, string.sub(way, 2)) then mine[#mine + 1] = id
      else free[#free + 1] = id end
    else
      for copy in string.gmatch(string.sub(way, 2), '[^,]+') do
        if copy == '-1' then free[#free + 1] = id else place(id, tonumber(copy)) end
      end
    end
  elseif to >= 0 and tostring(to) ~= slot then
    call('RPUSH', run .. 'q' .. to, id)
    woken[to] = true
  elseif to >= 0 then
    call('RPUSH', run .. 'q' .. slot, id)
  else fresh[#fresh + 1] = id end
end
local children = second and {} or numbers(ARGV[15], 1)
for i, left in ipairs(fall(run .. 'cnt', children, numbers(ARGV[17], 1))) do
  if left == 0 then
    local to = -1
    if #ARGV[13] > 0 then to = struct.unpack('<h', ARGV[13], 2 * i - 1) end
    place(string.format('%d', children[i]), to)
  end
end
-- of what nobody has a claim to I take no more than my share, where it is worth another worker's way
local split = mean > TINY and #fresh * mean > 2 * WORTH
local fair = math.max(0, most - #mine)
if split then fair = math.min(fair, math.ceil(#fresh / workers)) end
for i = 1, #fresh do
  if i <= fair then mine[#mine + 1] = fresh[i] else free[#free + 1] = fresh[i] end
end
local surplus, named = string.match(ARGV[16], '(%d+):?(%d*)')
local leaves = named ~= ''
surplus, named = tonumber(surplus), tonumber(named) or 0
local function back(key, first, last) -- to the head, in their order: what was begun goes on first
  for i = last, first, -CHUNK do
    local some = {}
    for j = i, math.max(first, i - CHUNK + 1), -1 do some[#some + 1] = ARGV[j] end
    call('LPUSH', key, unpack(some))
  end
end
if leaves then
  call('SREM', run .. 'idle', slot)
  back(run .. 'q' .. slot, at, at + named - 1)
  back(run .. 'q', at + named, at + surplus - 1)
else
  for i = 1, surplus do free[#free + 1] = ARGV[at + i - 1] end
end
at = at + surplus
for i = 1, #free, CHUNK do call('RPUSH', run .. 'q', unpack(free, i, math.min(i + CHUNK - 1, #free))) end

for _ = 1, tonumber(ARGV[18]) do
  if not second then
    call('HSET', run .. 'blob', ARGV[at], ARGV[at + 2])
    fill(run .. 'loc', numbers(ARGV[at + 1], 1), call('RPUSH', run .. 'names', ARGV[at]))
  end
  at = at + 3
end
take(tonumber(ARGV[19]), 2, 'HSET', run .. 'keep')
local postponed = false -- a task waits for its next try: who is idle shall know when that is
for _ = 1, tonumber(ARGV[20]) do
  if second then
  elseif ARGV[at] == 'later' then
    call('ZADD', run .. 'later', ARGV[at + 2], ARGV[at + 1])
    postponed = true
  else call('HSET', run .. ARGV[at], ARGV[at + 1], ARGV[at + 2]) end
  at = at + 3
end
for id, readers, where in string.gmatch(ARGV[25], '(%d+):(%d+):?([^,]*)') do
  if not second then call('HSET', run .. 'use', id, readers, 'at' .. id, where) end
end
for id, times in string.gmatch(ARGV[26], '(%d+):(%d+)') do
  if call('HINCRBY', run .. 'use', id, -times) <= 0 then
    local key, chunks = string.match(call('HGET', run .. 'use', 'at' .. id) or '', '(.*):(%d+)')
    for i = 0, tonumber(chunks or 0) - 1 do call('UNLINK', run .. key .. ':' .. i) end
  end
end
local finished = second and 0 or tonumber(ARGV[6])
local skipped = second and 0 or tonumber(ARGV[21])
for i = 0, skipped - 1, CHUNK do -- several workers may skip the same task: only the first counts
  finished = finished + call('SADD', run .. 'skip', unpack(ARGV, at + i, at + math.min(i + CHUNK, skipped) - 1))
end
local own = run .. 'own' .. slot
if second then
  for key in string.gmatch(ARGV[14], '[^,]+') do call('UNLINK', key) end
else
  for key in string.gmatch(ARGV[14], '[^,]+') do
    if string.sub(key, #run + 1, #run + 1) == 'k' then call('LREM', run .. 'loose', 0, key) end
  end
  for to, notice in string.gmatch(ARGV[24], '(%d+) ([^,]+)') do call('RPUSH', run .. 'pre' .. to, notice) end
end
if #events > 0 then call('XADD', run .. 'ev', '*', 'e', events) end
if usual and usual > 0 then call('SET', run .. 'avg', usual) end

if finished > 0 and call('DECRBY', run .. 'left', finished) == 0 then -- the end: intermediates vanish with the last commit
  local ending = 'done'
  if call('EXISTS', run .. 'err') == 1 then ending = 'failed' end
  call('HSET', run .. 'meta', 'state', ending, 'ended', ARGV[10])
  ended(run, dagnb, ARGV[4], ending, slot)
  return close('0 0 0 1 1 ||')
end

-- claim: first what is named for me, then the queue, then the roots; never more than my share
if want > 0 and string.find(ARGV[27], 'l', 1, true) then -- what was to be tried again later is ready when its moment has come
  local due = call('ZRANGEBYSCORE', run .. 'later', '-inf', ARGV[10], 'LIMIT', 0, CHUNK)
  local named = #due > 0 and call('EXISTS', run .. 'place') == 1
  for _, id in ipairs(due) do
    local to = named and heir(struct.unpack('<h', call('GETRANGE', run .. 'place', 2 * id, 2 * id + 1))) or -1
    call('RPUSH', run .. 'q' .. (to >= 0 and to or ''), id)
    if to >= 0 and tostring(to) ~= slot then woken[to] = true end
  end
  if #due > 0 then call('ZREM', run .. 'later', unpack(due)) end
end
local roots = tonumber(ARGV[12])
local common = run .. 'q'
local waiting = call('LLEN', common)
local cursor = roots > 0 and math.min(roots, tonumber(call('GET', run .. 'root') or '0')) or roots
local function backlog() return waiting + roots - cursor end
local function pull(queue, limit, share) -- from a queue until there are so many; what may not be had here goes its way
  local got = call('LPOP', queue, math.min(limit - #mine, share))
  while got do
    if queue == common then waiting = waiting - #got end
    for j = 1, #got do
      if not annotated or admit(got[j]) then mine[#mine + 1] = got[j] end
    end
    got = annotated and #mine < limit and call('LPOP', queue, math.min(limit - #mine, share))
  end
end
if not leaves and string.find(ARGV[27], 'q', 1, true) then -- all of them: nobody else may run them, and it knows their order
  pull(run .. 'q' .. slot, #mine + CHUNK, CHUNK)
end
if prefetch > 0 then -- fewer and fewer towards the end: nobody shall wait for what another has claimed
  local share = backlog() / workers
  want = math.min(prefetch, math.max(math.floor(share / 2), math.min(1, math.floor(share))))
end
most = math.min(want, #mine + CLAIM)
-- a handful of tiny tasks is not worth a second worker, as long as one is at it: it owns something that is not committed,
-- and not behind a task that was announced because it may be long. (Who merely is awake does not count: two that were
-- woken together would each leave the work to the other, for ever. Who still counts as idle has waited in vain: nobody
-- came round to it. It is not idle while it asks, or it would be the one that is woken for what it gives away next.)
local average = mean
if average == 0 then average = tonumber(string.match(call('GET', run .. 'avg') or '0', '%d+')) end
local tiny = average > 0 and average <= HAND
local worth = true
local empty = string.match(state[3] or '', '^%d+ 0 %d+ %d+ %d+ |') -- only such an answer makes a worker idle
local waited = want > 0 and empty and call('SREM', run .. 'idle', slot) == 1 and tonumber(ARGV[6]) == 0
if want > 0 and #mine == 0 and average > 0 and not waited and backlog() * (average - HAND) < WORTH then
  for _, other in ipairs(call('SMEMBERS', run .. 'act')) do
    local owned = other ~= slot and call('LINDEX', run .. 'own' .. other, 0)
    if owned and string.sub(owned, 1, 1) ~= 'l' then worth = false end
  end
end
local first, count = cursor, 0
if #mine < want and worth then
  if waiting > 0 and #mine < most then
    local share = math.max(1, math.ceil(waiting / workers))
    if tiny then share = waiting
    elseif split then share = math.ceil((waiting + fair) / workers) - fair
    elseif average > TINY then share = math.max(share, math.floor(WORTH / average)) end -- not in crumbs
    if share > 0 then pull(common, annotated and math.min(most, #mine + share) or most, share) end
  end
  if #mine < want and cursor < roots then
    local share = tiny and roots - cursor or math.max(1, math.ceil((roots - cursor) / workers))
    first, count = cursor, math.min(want - #mine, share)
    cursor = cursor + count
    call('SET', run .. 'root', cursor)
  end
end
local ids = table.concat(mine, ',')
local owned = {} -- granted is owned, until it is committed
if #ARGV[7] > 0 then
  call('DEL', own)
  if #ARGV[7] > 1 then owned[1] = ARGV[7] end
end
if #mine > 0 then owned[#owned + 1] = 'm' .. ids end
if count > 0 then owned[#owned + 1] = 'r' .. first .. ':' .. count end
if #owned > 0 then call('RPUSH', own, unpack(owned)) end

-- the inputs of what was claimed, as far as they lie in blobs. Whoever reads the answer counts likewise (fetch.py)
local blobs, bodies, further, carried, known, asked = {}, {}, {}, 0, {}, 0
local first_of, dependency, lies, before, stop
local function listed(number)
  known[number] = true
  local name = call('LINDEX', run .. 'names', number - 1)
  if carried >= CARRIED then
    further[#further + 1] = name
    return
  end
  local body = call('HGET', run .. 'blob', name)
  blobs[#blobs + 1], bodies[#blobs + 1] = name, body
  carried = carried + #(body or '')
end
local function inputs(id)
  if not lies then
    local width = tonumber(facts[3])
    first_of = column(run .. 'deps', 0, '<I' .. width, width)
    dependency = column(run .. 'deps', tonumber(facts[2]), '<I' .. width, width)
    lies = column(run .. 'loc', 0, '>I4', 4)
  end
  local low = id - 1 == before and stop or first_of(id)
  local high = first_of(id + 1)
  before, stop = id, high
  if asked + high - low > INPUTS then return end
  asked = asked + high - low
  for k = low, high - 1 do
    local number = lies(dependency(k))
    if number > 0 and not known[number] then listed(number) end
  end
end
for j = 1, #mine do
  local id = tonumber(mine[j])
  if id then inputs(id) end -- not for "F7", a task that has failed
end

local act, mixed = run .. 'act', #children > 0
local granted = #mine > 0 or count > 0
if mixed then call('SADD', act, 'x', granted and slot or 'x') -- from now on nobody may believe to be alone
elseif granted then call('SADD', act, slot) end
local active = call('SCARD', act)
if not granted then active = active + 1 - call('SISMEMBER', act, slot) end
for to in pairs(woken) do
  if call('SREM', run .. 'idle', to) == 1 then call('RPUSH', dagnb .. 'inbox:' .. to, 'W') end
end
local idle = call('SCARD', run .. 'idle')
if idle > 0 then -- one for what nobody has looked at, or as many as it pays; all while nobody knows how long a task takes
  local calls = (postponed or waiting > 0) and 1 or 0
  local pays = average == 0 and backlog() or math.min(backlog(), math.floor(backlog() * (average - HAND) / WORTH))
  for _ = 1, math.min(idle, math.max(calls, pays)) do
    call('RPUSH', dagnb .. 'inbox:' .. call('SPOP', run .. 'idle'), 'W')
    idle = idle - 1
  end
end
if want > 0 and prefetch == 0 and not granted then call('SADD', run .. 'idle', slot) end
local out = close(first .. ' ' .. count .. ' ' .. idle .. ' 0 ' .. active .. ' ' .. ids .. '|' .. table.concat(blobs, ',') .. '|'
  .. table.concat(further, ','))
for i = 1, #blobs do out[i + 1] = bodies[i] end
return out
