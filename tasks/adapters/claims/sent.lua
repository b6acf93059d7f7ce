-- sent: notes that the message of a dispatched slot is in the queue, so that no other beat takes it over.
-- ARGV: identity, beat. Returns 1, or 0 when the slot has moved on already.
local seen = redis.call('HMGET', slot_key, 'state', 'beat')
if seen[1] ~= 'dispatched' or seen[2] ~= ARGV[2] then
  return 0
end
redis.call('HSET', slot_key, 'state', 'sent')
return 1
