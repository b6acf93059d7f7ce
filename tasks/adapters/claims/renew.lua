-- renew: prolongs a lease that its token still holds.
-- ARGV: identity, token, lease ms. Returns 1, or 0 when the lease is lost.
local identity, token, lease_ms = unpack(ARGV)
local seen = redis.call('HMGET', slot_key, 'state', 'token')
if seen[1] ~= 'running' or seen[2] ~= token then
  return 0
end
redis.call('ZADD', leases, math.floor(now_us() / 1000) + lease_ms, identity)
return 1
