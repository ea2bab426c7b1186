-- end: end a run from outside: cancelled by its user, or refused by a worker that cannot read it. Its workers are given nothing
-- more; what they still report is ignored. Idempotent: a run that has ended stays as it is.
--
-- KEYS 1 prefix of the run   2 prefix of the server ("dagnb:")
-- ARGV 1 run id   2 state: "cancelled" or "failed"   3 reason ("" for a user's wish)   4 now, ns
-- answer: 1, or 0 when it had ended before

local run, dagnb = KEYS[1], KEYS[2]
local call = redis.call
if call('HGET', run .. 'meta', 'state') ~= 'running' then return 0 end
call('DEL', run .. 'idle') -- first, because a script that has begun to write is not refused: memory may be full
call('HSET', run .. 'meta', 'state', ARGV[2], 'ended', ARGV[4], 'reason', ARGV[3])
ended(run, dagnb, ARGV[1], ARGV[2], nil)
return 1
