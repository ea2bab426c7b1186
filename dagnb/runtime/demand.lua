-- demand: what a live run could give to workers now. The slots named, which have no worker, count as idle from here on:
-- whatever becomes ready for them, or is more than the others can take, puts a word into their inbox. First that, then the
-- counting: what is not counted here says its word later.
--
-- KEYS 1 prefix of the run   ARGV slots without a worker
-- answer: {} when the run has ended, else {ready tasks of nobody, ready tasks named for each of the slots …}

local run = KEYS[1]
local call = redis.call
if call('HGET', run .. 'meta', 'state') ~= 'running' then return {} end
if #ARGV > 0 then call('SADD', run .. 'idle', unpack(ARGV)) end
local roots = math.floor(call('STRLEN', run .. 'roots') / 4)
local free = call('LLEN', run .. 'q') + math.max(0, roots - tonumber(call('GET', run .. 'root') or '0'))
local answer = { free }
for i = 1, #ARGV do answer[i + 1] = call('LLEN', run .. 'q' .. ARGV[i]) end
return answer
