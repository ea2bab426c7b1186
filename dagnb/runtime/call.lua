-- call: tell the workers of a new run. Only the first where nothing is named for the others: these count as idle from here
-- on, and `sync` calls as many of them as there is work for. Tiny work stays with the first, which then has the processors.
-- While another run is live all are told, because the first may be busy there.
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
return #ARGV - 2
