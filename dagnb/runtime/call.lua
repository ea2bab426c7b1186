-- call: tell the workers of a new run. Only the first where a single task can begin: the others count as idle from here
-- on, and are called by the rules of `sync` when there is more to do than one should do alone. While another run is live
-- all are told, because the first may be busy there.
--
-- KEYS 1 prefix of the run   2 prefix of the server
-- ARGV 1 run id   2 "1" if a single task can begin   3.. slots
local call = redis.call
local alone = ARGV[2] == '1' and call('HLEN', KEYS[2] .. 'runs') == 1
for i = 3, #ARGV do
  call('RPUSH', KEYS[2] .. 'todo:' .. ARGV[i], ARGV[1])
  if i > 3 and alone then call('SADD', KEYS[1] .. 'idle', ARGV[i])
  else call('RPUSH', KEYS[2] .. 'inbox:' .. ARGV[i], 'S' .. ARGV[1]) end
end
return #ARGV - 2
