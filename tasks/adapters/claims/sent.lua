-- sent: notes that the message of a dispatched slot is in the queue, so that no other beat takes it over and none that
-- starts later looks at it again. A slot that was only marked is one that the next beat still has to take care of.
-- ARGV: identity, beat, slot ms, key of the newest slot of each job, ms of the slot before ('' = sent in order): unless
-- the job is taken care of up to there, its newest slot stays. Returns 1, or 0 when the slot has moved on already.
local identity, beat, slot_ms, newest, before_ms = unpack(ARGV)
local job = job_of(identity)
local known_ms = tonumber(redis.call('HGET', newest, job) or '-1')

local function nothing_between()
  local since_us = tonumber(redis.call('HGET', beside('sinces'), job) or '-1')
  return before_ms == '' or math.max(known_ms, math.floor(since_us / 1000)) >= tonumber(before_ms)
end

if known_ms < tonumber(slot_ms) and nothing_between() then
  redis.call('HSET', newest, job, slot_ms)
end
local seen = redis.call('HMGET', slot_key, 'state', 'beat')
if seen[1] ~= 'dispatched' or seen[2] ~= beat then
  return 0
end
redis.call('HSET', slot_key, 'state', 'sent')
return 1
