-- sent: notes that the message of a dispatched slot is in the queue, so that no other beat takes it over and none that
-- starts later looks at it again. A slot that was only marked is one that the next beat still has to take care of.
-- ARGV: identity, beat, slot ms (-1 = sent out of order: the newest slot stays), key of the newest slot of each job.
-- Returns 1, or 0 when the slot has moved on already.
local identity, beat, slot_ms, newest = unpack(ARGV)
local job = job_of(identity)
if tonumber(redis.call('HGET', newest, job) or '-1') < tonumber(slot_ms) then
  redis.call('HSET', newest, job, slot_ms)
end
local seen = redis.call('HMGET', slot_key, 'state', 'beat')
if seen[1] ~= 'dispatched' or seen[2] ~= beat then
  return 0
end
redis.call('HSET', slot_key, 'state', 'sent')
return 1
