-- give_back: returns a claimed slot of which nothing was done, so that a later try may claim it.
-- ARGV: identity, token, window end ms ('' = none). Returns 1, or 0 when the lease is lost.
local identity, token, window_ms = unpack(ARGV)
local seen = redis.call('HMGET', slot_key, 'state', 'token')
if seen[1] ~= 'running' or seen[2] ~= token then
  return 0
end
free(identity)
redis.call('HSET', slot_key, 'state', 'sent')
if window_ms ~= '' then
  redis.call('ZADD', windows, window_ms, identity)
end
return 1
