-- schedule_store: changes the schedule of one job, if it still is what the caller saw; the ledger gets it in the same step.
-- KEYS: prefix
-- ARGV: job, text it must replace ('' = there is none), new text, state, origin, reason, how often it is to run
--       ('' = as it was, 'always' = without end), who
-- Returns us since when it holds, or '' when it is something else by now.
local job, expected, schedule, state, origin, reason, times, who = unpack(ARGV)
local function key(name)
  return KEYS[1] .. ':' .. name
end
if (redis.call('HGET', key('schedules'), job) or '') ~= expected then
  return ''
end
local time = redis.call('TIME')
local since = string.format('%.0f', time[1] * 1000000 + time[2])

if state == 'removed' then
  for _, name in ipairs({ 'schedules', 'sinces', 'newest', 'paused', 'repeats' }) do
    redis.call('HDEL', key(name), job)
  end
  redis.call('SET', key('deleted:') .. job, '1', 'EX', 60)
else
  redis.call('HSET', key('schedules'), job, schedule)
  redis.call('HSET', key('sinces'), job, since)
  redis.call('DEL', key('deleted:') .. job)
  if state == 'paused' then
    redis.call('HSET', key('paused'), job, reason)
  else
    redis.call('HDEL', key('paused'), job)
  end
  if times == 'always' then
    redis.call('HDEL', key('repeats'), job)
  elseif times ~= '' then
    redis.call('HSET', key('repeats'), job, times)
  end
end
if state ~= 'removed' and (origin == 'store' or state == 'paused') then
  redis.call('SADD', key('store'), job)
else
  redis.call('SREM', key('store'), job)
end
local version = redis.call('INCR', key('store:version'))
redis.call('XADD', key('store:changes'), 'MAXLEN', '~', 10000, version .. '-0', 'job', job)
redis.call('XADD', key('ledger'), '*', 'kind', 'schedule', 'schedule', schedule, 'since_us', since, 'by', who)
return since
