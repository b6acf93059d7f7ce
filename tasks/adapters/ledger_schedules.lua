-- ledger_schedules: writes to the ledger what schedules are from now on, each only when it differs from what is known.
-- KEYS: schedules (job to text), sinces (job to us), newest (job to ms of its newest slot), ledger
-- ARGV: who, now us, then for each job: its name, the text of its schedule, the text it must replace ('' = whatever it
-- is; otherwise the job is removed), and us since when ('' = after the newest slot that was taken care of, or now).
-- Returns how many were written.
local schedules, sinces, newest, ledger = unpack(KEYS)
local who, now_us = ARGV[1], ARGV[2]
local written = 0

local function taken_care_of(job)
  local newest_ms, since = redis.call('HGET', newest, job), redis.call('HGET', sinces, job)
  local newest_us = newest_ms and newest_ms .. '000'
  if newest_us and since then
    return tonumber(newest_us) > tonumber(since) and newest_us or since
  end
  return newest_us or since or now_us
end

for index = 3, #ARGV, 4 do
  local job, schedule, replaced, since = unpack(ARGV, index, index + 3)
  local known = redis.call('HGET', schedules, job)
  local is_removal = replaced ~= ''
  if is_removal and known == replaced or not is_removal and known ~= schedule then
    if since == '' then
      since = taken_care_of(job)
    end
    if is_removal then
      redis.call('HDEL', schedules, job)
      redis.call('HDEL', sinces, job)
      redis.call('HDEL', newest, job)
    else
      redis.call('HSET', schedules, job, schedule)
      redis.call('HSET', sinces, job, since)
    end
    redis.call('XADD', ledger, '*', 'kind', 'schedule', 'schedule', schedule, 'since_us', since, 'by', who)
    written = written + 1
  end
end
return written
