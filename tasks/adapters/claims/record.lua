-- record: releases the lease by its token and appends the outcome to the ledger, or refuses a result that came too late.
-- ARGV: identity, token, outcome, run JSON, error, keep ms
-- Returns the outcome that stands: the one given, 'fenced', or 'duplicate' when another claim owns the slot.
local identity, token, outcome, run, error, keep_ms = unpack(ARGV)
local now = now_us()
local seen = redis.call('HMGET', slot_key, 'state', 'token', 'outcome')

if not seen[1] or (seen[1] == 'running' and seen[2] == token) then
  close(identity, outcome, run, error, now, keep_ms)
  redis.call('HSET', slot_key, 'token', token)
  return outcome
end
if seen[2] ~= token then
  return 'duplicate'
end
if seen[3] == outcome or seen[3] == 'fenced' or seen[3] == 'cancelled' then
  return seen[3]
end
close(identity, 'fenced', run, 'its lease was lost; its result (' .. outcome .. ') is refused', now, keep_ms)
return 'fenced'
