-- ended: what the two ends of a run have in common; it stands before `sync` and `end` (`dagnb.runtime.scripts`).
--
-- Everything goes but what outlives a run, and that expires. All workers that are in it get a word, but the slot that `knows` of it.
-- Key table: dagnb/runtime/keys.py.
local function ended(run, dagnb, id, state, knows)
  local call = redis.call
  call('RPUSH', run .. 'fin', state)
  call('HDEL', dagnb .. 'runs', id)
  call('HDEL', dagnb .. 'served', id)
  for _, hash in ipairs(call('SMEMBERS', run .. 'args')) do -- how long what nobody needs stays: arguments.py
    local key, uses = dagnb .. 'arg:' .. hash, dagnb .. 'uses:' .. hash
    call('SREM', uses, id)
    if call('EXISTS', uses) == 0 then
      call('EXPIRE', key, math.ceil(600 * math.min(1, 2^24 / math.max(1, call('STRLEN', key)))))
    end
  end
  local gone = {}
  for _, part in ipairs({ 'dag', 'deps', 'cnt', 'q', 'root', 'roots', 'idle', 'act', 'avg', 'loc', 'names', 'blob', 'place', 'skip', 'left',
    'pay', 'loose', 'way', 'won', 'seat', 'lost', 'use', 'open', 'later', 'args' }) do
    gone[#gone + 1] = run .. part
  end
  for _, list in ipairs({ 'pay', 'loose' }) do
    for _, key in ipairs(call('LRANGE', run .. list, 0, -1)) do gone[#gone + 1] = key end
  end
  for slot in string.gmatch(call('HGET', run .. 'meta', 'slots'), '%d+') do
    gone[#gone + 1] = run .. 'q' .. slot
    gone[#gone + 1] = run .. 'own' .. slot
    gone[#gone + 1] = run .. 'pre' .. slot
    call('LREM', dagnb .. 'todo:' .. slot, 0, id)
    if slot ~= knows and call('HGET', dagnb .. 'ws', 'r' .. slot) == id then call('RPUSH', dagnb .. 'inbox:' .. slot, 'W') end
  end
  for i = 1, #gone, 1000 do call('UNLINK', unpack(gone, i, math.min(i + 999, #gone))) end
  local stays = call('HGET', run .. 'meta', 'stays')
  for _, part in ipairs({ 'meta', 'fin', 'keep', 'err', 'log', 'tries', 'ev', 'plan', 'outline' }) do
    call('EXPIRE', run .. part, stays)
  end
end

