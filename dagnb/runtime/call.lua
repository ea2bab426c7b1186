-- call: tell the workers of a new run. Only the first where nothing is named for the others: these count as idle from here
-- on, and `sync` calls as many of them as there is work for. Tiny work stays with the first, which then has the processors.
-- While another run is live all are told, because the first may be busy there. A single root is the first worker's at once:
-- it finds it in its `own` and need not ask, and `recover` finds it there too.
--
-- KEYS 1 prefix of the run   2 prefix of the server
-- ARGV 1 run id   2 "1" if the first worker may begin alone   3.. slots
local call = redis.call
local alone = ARGV[2] == '1' and call('HLEN', KEYS[2] .. 'runs') == 1
for i = 3, #ARGV do
  call('RPUSH', KEYS[2] .. 'todo:' .. ARGV[i], ARGV[1])
  if i > 3 and alone then call('SADD', KEYS[1] .. 'idle', ARGV[i])
  else call('RPUSH', KEYS[2] .. 'inbox:' .. ARGV[i], 'S' .. ARGV[1]) end
end
if alone and call('STRLEN', KEYS[1] .. 'roots') == 4 then
  call('SET', KEYS[1] .. 'root', 1)
  call('RPUSH', KEYS[1] .. 'own' .. ARGV[3], 'r0:1')
  call('SADD', KEYS[1] .. 'act', ARGV[3])
  call('HSET', KEYS[2] .. 'ws', 'r' .. ARGV[3], ARGV[1])
end
return #ARGV - 2
