-- cancel: asks a run to stop, or ends a slot before it ran.
-- ARGV: identity, run JSON, who, keep ms. Returns 'stopping', 'cancelled', or the outcome of a run that has ended.
local identity, run, who, keep_ms = unpack(ARGV)
local seen = redis.call('HMGET', slot_key, 'state', 'outcome', 'run')
if seen[1] == 'done' then
  return seen[2]
end
if seen[1] == 'running' then
  redis.call('HSETNX', slot_key, 'cancelled_by', who)
  return 'stopping'
end
close(identity, 'cancelled', seen[3] or run, 'cancelled by ' .. who, now_us(), keep_ms)
return 'cancelled'
