-- resolve: replaces an unknown outcome by what a person knows.
-- ARGV: identity, outcome, who, keep ms. Returns the outcome that stood before, or '' when the slot is not remembered.
local identity, outcome, who, keep_ms = unpack(ARGV)
local seen = redis.call('HMGET', slot_key, 'state', 'outcome', 'run')
if seen[1] ~= 'done' then
  return seen[1] or ''
end
if seen[2] == 'unknown' then
  close(identity, outcome, seen[3], 'resolved by ' .. who, now_us(), keep_ms)
end
return seen[2]
