-- part: counts one part of a run as done, once, adds its figures to the run's, and prolongs the lease.
-- ARGV: identity, token, lease ms, part, error ('' = none), then name and whole number in turn
-- Returns {parts left, error, name, sum, name, sum, …}, or nil when the lease is lost.
local identity, token, lease_ms, part, error = unpack(ARGV, 1, 5)
local seen = redis.call('HMGET', slot_key, 'state', 'token')
if seen[1] ~= 'running' or seen[2] ~= token then
  return nil
end
redis.call('ZADD', leases, math.floor(now_us() / 1000) + lease_ms, identity)
if redis.call('HSETNX', slot_key, 'part:' .. part, '1') == 1 then
  redis.call('HINCRBY', slot_key, 'parts_left', -1)
  for index = 6, #ARGV, 2 do
    redis.call('HINCRBY', slot_key, 'sum:' .. ARGV[index], ARGV[index + 1])
  end
  if error ~= '' then
    redis.call('HSETNX', slot_key, 'error', error)
  end
end
local reply = { tonumber(redis.call('HGET', slot_key, 'parts_left')), redis.call('HGET', slot_key, 'error') or '' }
for index = 6, #ARGV, 2 do
  reply[#reply + 1] = ARGV[index]
  reply[#reply + 1] = tonumber(redis.call('HGET', slot_key, 'sum:' .. ARGV[index]) or '0')
end
return reply
