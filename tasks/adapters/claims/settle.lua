-- settle: ends a slot that never ran.
-- ARGV: identity, run JSON, outcome, error, keep ms. Returns 1, or 0 when it runs or has ended already.
local identity, run, outcome, error, keep_ms = unpack(ARGV)
local state = redis.call('HGET', slot_key, 'state')
if state == 'running' or state == 'done' then
  return 0
end
close(identity, outcome, run, error, now_us(), keep_ms)
return 1
