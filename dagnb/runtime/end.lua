-- end: end a run from outside: cancelled by its user, or refused by a worker that cannot read it. Its workers are given nothing
-- more; what they still report is ignored. Idempotent: a run that has ended stays as it is.
--
-- KEYS 1 prefix of the run   2 prefix of the server ("dagnb:")
-- ARGV 1 run id   2 state: "cancelled" or "failed"   3 reason ("" for a user's wish)   4 now, ns
-- answer: 1, or 0 when it had ended before

local run, dagnb = KEYS[1], KEYS[2]
local call = redis.call
if call('HGET', run .. 'meta', 'state') ~= 'running' then return 0 end
call('HSET', run .. 'meta', 'state', ARGV[2], 'ended', ARGV[4], 'reason', ARGV[3])
call('RPUSH', run .. 'fin', ARGV[2])
call('HDEL', dagnb .. 'runs', ARGV[1])
local gone = {}
for _, part in ipairs({ 'dag', 'deps', 'cnt', 'q', 'root', 'roots', 'idle', 'act', 'avg', 'loc', 'blob', 'place', 'skip', 'left', 'way',
  'won', 'seat', 'lost', 'use', 'open' }) do
  gone[#gone + 1] = run .. part
end
for s in string.gmatch(call('HGET', run .. 'meta', 'slots'), '%d+') do
  gone[#gone + 1] = run .. 'q' .. s
  gone[#gone + 1] = run .. 'own' .. s
  gone[#gone + 1] = run .. 'pre' .. s
  call('LREM', dagnb .. 'todo:' .. s, 0, ARGV[1])
  call('RPUSH', dagnb .. 'inbox:' .. s, 'W')
end
for _, list in ipairs({ run .. 'pay', run .. 'loose' }) do
  for _, key in ipairs(call('LRANGE', list, 0, -1)) do gone[#gone + 1] = key end
  gone[#gone + 1] = list
end
for i = 1, #gone, 1000 do call('UNLINK', unpack(gone, i, math.min(i + 999, #gone))) end
local stays = call('HGET', run .. 'meta', 'stays')
for _, part in ipairs({ 'meta', 'fin', 'keep', 'err', 'log', 'ev' }) do call('EXPIRE', run .. part, stays) end
return 1
