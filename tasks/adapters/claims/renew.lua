-- renew: prolongs a lease that its token still holds.
-- ARGV: identity, token, lease ms. Returns 'held', 'lost', or 'cancelled' when somebody asked for the run to stop.
local identity, token, lease_ms = unpack(ARGV)
local seen = redis.call('HMGET', slot_key, 'state', 'token', 'cancelled_by')
if seen[1] ~= 'running' or seen[2] ~= token then
  return 'lost'
end
redis.call('ZADD', leases, math.floor(now_us() / 1000) + lease_ms, identity)
return seen[3] and 'cancelled' or 'held'
