-- schedule_restore: fills an empty store from what the warehouse knows; does nothing when the store is there already.
-- KEYS: prefix
-- ARGV: for each job: its name, text, state, origin, reason, us up to which it is taken care of, times it is still to run
--       ('' = without end); a state '' restores the instant alone. Returns how many were restored, -1 when there is a store.
local function key(name)
  return KEYS[1] .. ':' .. name
end
if redis.call('EXISTS', key('store:version')) == 1 then
  return -1
end
local restored = 0
for index = 1, #ARGV, 7 do
  local job, schedule, state, origin, reason, since, times = unpack(ARGV, index, index + 6)
  redis.call('HSETNX', key('sinces'), job, since)
  if state ~= '' then
    redis.call('HSET', key('schedules'), job, schedule)
    if origin == 'store' or state == 'paused' then
      redis.call('SADD', key('store'), job)
    end
    if state == 'paused' then
      redis.call('HSET', key('paused'), job, reason)
    end
    if times ~= '' then
      redis.call('HSET', key('repeats'), job, times)
    end
    restored = restored + 1
  end
end
redis.call('INCR', key('store:version'))
return restored
