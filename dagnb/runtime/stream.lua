-- stream: what is agreed upon about outputs that travel while they are made. Nothing here is state that a run needs: a
-- consumer that begins early is only tried; it is granted like any other task once its counter has fallen to zero.
--
-- KEYS 1 prefix of the run   2 prefix of the server ("dagnb:")
-- ARGV 1 verb  2 slot of the caller, and then
--   offer  3 producer  4 token  5.. for each consumer the slot that it is named for, or -1
--          its attempt `token` has begun and can be listened to. Who waits and may run a consumer is woken
--   wake   3.. for each consumer whose counter has fallen its slot, or -1: likewise, as far as anything streams
--   close  3 producer  4 token  5.. consumers
--          nobody may begin to listen any more; answer: for each consumer, 1 if it was taken early by somebody, else 0
--   take   3 consumer  4 its seat ("" when it is named for this slot)  5.. its streaming inputs
--          the tokens of these inputs ("" for one that is committed) and the right to begin early; {} where that is not
--          to be: something is ready that should come first, another input is missing, or somebody has it already
--   leave  3 consumer   it was not begun, or its producer has gone: it may be taken again
--   void   4 token      what this attempt has yielded does not count: it is made again by the same worker

local run, dagnb = KEYS[1], KEYS[2]
local call = redis.call
local verb, slot = ARGV[1], ARGV[2]
if call('HGET', run .. 'meta', 'state') ~= 'running' then return {} end

if verb == 'offer' or (verb == 'wake' and call('EXISTS', run .. 'open') == 1) then
  local first = 3
  if verb == 'offer' then
    call('HSET', run .. 'open', ARGV[3], ARGV[4])
    first = 5
  end
  local anybody, woken = false, {}
  for i = first, #ARGV do
    if ARGV[i] ~= '-1' then woken[ARGV[i]] = true else anybody = true end
  end
  if anybody then
    for _, other in ipairs(call('SRANDMEMBER', run .. 'idle', 2)) do
      if other ~= slot then woken[other] = true; break end
    end
  end
  for other in pairs(woken) do
    if other ~= slot and call('SISMEMBER', run .. 'idle', other) == 1 then call('RPUSH', dagnb .. 'inbox:' .. other, 'W') end
  end
  return {}
elseif verb == 'close' then
  if call('HGET', run .. 'open', ARGV[3]) == ARGV[4] then call('HDEL', run .. 'open', ARGV[3]) end
  local taken = {}
  for i = 5, #ARGV do taken[i - 4] = call('HEXISTS', run .. 'seat', 't' .. ARGV[i]) end
  return taken
elseif verb == 'take' then
  if call('LLEN', run .. 'q') > 0 or call('LLEN', run .. 'q' .. slot) > 0 then return {} end
  local tokens, open = {}, 0
  for i = 5, #ARGV do
    tokens[i - 4] = ''
    if not string.find(call('GETRANGE', run .. 'loc', 4 * ARGV[i], 4 * ARGV[i] + 3), '[^%z]') then
      tokens[i - 4] = call('HGET', run .. 'open', ARGV[i])
      if not tokens[i - 4] then return {} end
      open = open + 1
    end
  end
  if open == 0 or call('BITFIELD', run .. 'cnt', 'GET', 'i32', '#' .. ARGV[3])[1] ~= open then return {} end
  if #ARGV[4] > 0 then
    local seat = call('HGET', run .. 'seat', ARGV[4])
    if seat and seat ~= slot then return {} end
  end
  if call('HSETNX', run .. 'seat', 't' .. ARGV[3], slot) == 0 then return {} end
  if #ARGV[4] > 0 then call('HSET', run .. 'seat', ARGV[4], slot) end
  call('SREM', run .. 'idle', slot) -- a word that calls to other work had better go to somebody else
  return tokens
elseif verb == 'leave' then
  if call('HGET', run .. 'seat', 't' .. ARGV[3]) == slot then call('HDEL', run .. 'seat', 't' .. ARGV[3]) end
elseif verb == 'void' then
  call('HSET', run .. 'seat', 'x' .. ARGV[4], slot)
end
return {}
