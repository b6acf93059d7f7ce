-- hand_over: notes in how many parts a run goes on elsewhere, and prolongs its lease.
-- ARGV: identity, token, lease ms, parts, then name and whole number in turn: what the run's figures begin with
-- Returns 1, or 0 when the lease is lost.
local identity, token, lease_ms, parts = unpack(ARGV, 1, 4)
local seen = redis.call('HMGET', slot_key, 'state', 'token')
if seen[1] ~= 'running' or seen[2] ~= token then
  return 0
end
redis.call('HSET', slot_key, 'parts_left', parts)
for index = 5, #ARGV, 2 do
  redis.call('HSET', slot_key, 'sum:' .. ARGV[index], ARGV[index + 1])
end
redis.call('ZADD', leases, math.floor(now_us() / 1000) + lease_ms, identity)
return 1
