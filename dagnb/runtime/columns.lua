-- columns: packed arrays of numbers in Redis, many numbers at a time; it stands before the scripts that read or change
-- such (`dagnb.runtime.scripts`). A call of Redis from a script costs about as much as fifty numbers of a string.
local PAGE = 256 -- numbers that are read together: with one that is needed come its neighbours, which often are too
local BATCH = 1000 -- `unpack` and `struct.unpack` take fewer than 8,000
local WIDE = 4 -- numbers of a stretch for each that changes in it, up to which the whole stretch is written anew
local floor, unpacked = math.floor, struct.unpack

-- the numbers of a packed u32 column, little endian, in which the first `from - 1` bytes say something else
local function numbers(packed, from)
  local found, n, format, length = {}, 0, '', 0
  for at = from, #packed, 4 * BATCH do
    local count = math.min(BATCH, (#packed + 1 - at) / 4)
    if count ~= length then -- not ahead: to write that of a whole batch takes 10 µs, and most columns are short
      format, length = '<' .. string.rep('I4', count), count
    end
    local some = { unpacked(format, packed, at) }
    if at == from then
      found, n = some, count
      found[count + 1] = nil -- where it stopped to read
    else
      for i = 1, count do found[n + i] = some[i] end
      n = n + count
    end
  end
  return found
end

-- how to read number i of a column; 0 where nothing was written. What is changed meanwhile may not be seen
local function column(key, base, format, width)
  local page, number = '', -1
  local pages = {}
  return function(i)
    local n = floor(i / PAGE)
    if n ~= number then
      number, page = n, pages[n]
      if not page then
        local from = base + n * PAGE * width
        page = redis.call('GETRANGE', key, from, from + PAGE * width - 1)
        pages[n] = page
      end
    end
    local at = (i - n * PAGE) * width + 1
    if at + width - 1 > #page then return 0 end
    return (unpacked(format, page, at))
  end
end

-- counters (i32, big endian) at ascending places fall by so much each; what is left of each
local function fall(key, places, by)
  local left, asked, words, n = {}, {}, {}, 0
  local i, all = 1, #places
  while i <= all do
    local first = places[i]
    local last, behind = i, first
    while last < all and places[last + 1] - behind <= 2 * WIDE and places[last + 1] < first + BATCH do
      last = last + 1
      behind = places[last]
    end
    local count = behind - first + 1
    if last - i > 2 and count <= WIDE * (last - i + 1) then
      local format = '>' .. string.rep('i4', count)
      local some = { unpacked(format, redis.call('GETRANGE', key, 4 * first, 4 * behind + 3)) }
      for k = i, last do
        local at = places[k] - first + 1
        local less = some[at] - by[k]
        some[at], left[k] = less, less
      end
      redis.call('SETRANGE', key, 4 * first, struct.pack(format, unpack(some, 1, count)))
    else
      for k = i, last do
        asked[n / 4 + 1] = k
        words[n + 1], words[n + 2], words[n + 3] = 'INCRBY', 'i32', '#' .. places[k]
        words[n + 4] = by[k] == 1 and '-1' or -by[k]
        n = n + 4
      end
    end
    i = last + 1
  end
  for from = 1, n, 4 * BATCH do
    local got = redis.call('BITFIELD', key, unpack(words, from, math.min(from + 4 * BATCH - 1, n)))
    for k = 1, #got do left[asked[(from - 1) / 4 + k]] = got[k] end
  end
  return left
end

-- write the same number (u32, big endian) at `runs` of places: first, how many, first, …; ascending
local function fill(key, runs, number)
  local word = struct.pack('>I4', number)
  local i, all = 1, #runs
  while i < all do
    local first = runs[i]
    local last, stop = i, first + runs[i + 1]
    while last + 2 < all and runs[last + 2] - stop <= 8 * WIDE do
      last = last + 2
      stop = runs[last] + runs[last + 1]
    end
    if last == i then redis.call('SETRANGE', key, 4 * first, string.rep(word, runs[i + 1]))
    else -- between the runs stays what is there
      local before = redis.call('GETRANGE', key, 4 * first, 4 * stop - 1)
      before = before .. string.rep('\0', 4 * (stop - first) - #before)
      local parts, n, at = {}, 0, first
      for k = i, last, 2 do
        parts[n + 1] = string.sub(before, 4 * (at - first) + 1, 4 * (runs[k] - first))
        parts[n + 2] = runs[k + 1] == 1 and word or string.rep(word, runs[k + 1])
        n, at = n + 2, runs[k] + runs[k + 1]
      end
      redis.call('SETRANGE', key, 4 * first, table.concat(parts))
    end
    i = last + 2
  end
end

