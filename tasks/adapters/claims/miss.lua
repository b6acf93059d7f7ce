-- miss: ends a slot that was due while nothing ran, unless somebody took it; or a row of slots, named by its first.
-- ARGV: identity, run JSON, error, keep ms, ms of the (last) slot, key of the newest slot of each job
-- Returns 1, or 0 when it is known.
local identity, run, error, keep_ms, slot_ms, newest = unpack(ARGV)
if redis.call('EXISTS', slot_key) == 1 then
  return 0
end
local now = now_us()
close(identity, 'missed', run, tonumber(slot_ms) <= epoch_ms(math.floor(now / 1000)) and LOST or error, now, keep_ms)
local job = job_of(identity)
if tonumber(redis.call('HGET', newest, job) or '-1') < tonumber(slot_ms) then
  redis.call('HSET', newest, job, slot_ms)
end
return 1
