-- dispatch: marks a due slot as dispatched by one beat, once.
-- ARGV: identity, beat, take-over ms, keep ms, slot ms, window end ms, run JSON
-- Returns 'yours' (send it), 'theirs' (another beat is about to send it), 'gone' (sent, run or ended already, or the job
-- has run as often as it was to), 'paused' (recorded as skipped) or 'lost' (due before this Redis lost its data: recorded
-- as missed, for it may have run).
local identity, beat, takeover_ms, keep_ms, slot_ms, window_ms, run = unpack(ARGV)
local job = job_of(identity)
local now_ms = math.floor(now_us() / 1000)
local seen = redis.call('HMGET', slot_key, 'state', 'at_ms', 'beat')

-- The last of the slots that were asked for: none is expected after it.
local function end_schedule()
  local schedules, sinces, version = beside('schedules'), beside('sinces'), redis.call('INCR', beside('store:version'))
  local schedule = cjson.decode(redis.call('HGET', schedules, job) or '{}')
  schedule.job, schedule.state, schedule.reason = job, 'paused', 'it has run as often as it was to'
  local text_of_it = cjson.encode(schedule)
  redis.call('HSET', schedules, job, text_of_it)
  redis.call('HSET', sinces, job, slot_ms .. '000')
  redis.call('XADD', beside('store:changes'), 'MAXLEN', '~', 10000, version .. '-0', 'job', job)
  redis.call('XADD', ledger, '*', 'kind', 'schedule', 'schedule', text_of_it, 'since_us', slot_ms .. '000', 'by', beat)
end

local function none_left()
  local left = redis.call('HGET', beside('repeats'), job)
  if not left then
    return false
  end
  if tonumber(left) > 0 and redis.call('HINCRBY', beside('repeats'), job, -1) == 0 then
    end_schedule()
  end
  return tonumber(left) <= 0
end

if seen[1] and seen[1] ~= 'dispatched' then
  return 'gone'
end
local held = held_back(job)
if held then
  close(identity, 'skipped', run, held, now_us(), keep_ms)
  return 'paused'
end
if seen[1] and seen[3] ~= beat and now_ms - tonumber(seen[2]) < tonumber(takeover_ms) then
  return 'theirs'
end
if not seen[1] then
  if none_left() then
    return 'gone'
  end
  if tonumber(slot_ms) <= epoch_ms(now_ms) then
    close(identity, 'missed', run, LOST, now_us(), keep_ms)
    return 'lost'
  end
end
redis.call('HSET', slot_key, 'state', 'dispatched', 'beat', beat, 'at_ms', text(now_ms), 'run', run)
redis.call('PEXPIRE', slot_key, math.max(tonumber(window_ms) - now_ms, 0) + keep_ms)
redis.call('ZADD', windows, window_ms, identity)
return 'yours'
