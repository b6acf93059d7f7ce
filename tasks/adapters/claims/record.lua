-- record: releases the lease by its token and appends the outcome to the ledger, or refuses a result that came too late.
-- ARGV: identity, token, outcome, run JSON, error, keep ms, hold ms (the job stays busy for so long, 0 = no longer)
-- Returns the outcome that stands: the one given, 'fenced', or 'duplicate' when another claim owns the slot.
local identity, token, outcome, run, error, keep_ms, hold_ms = unpack(ARGV)
local now = now_us()
local seen = redis.call('HMGET', slot_key, 'state', 'token', 'outcome', 'cancelled_by')

-- A slot that Redis forgot while it ran may have been called missed since; the run knows better.
local forgotten = not seen[1] or (not seen[2] and seen[3] == 'missed')
if forgotten or (seen[1] == 'running' and seen[2] == token) then
  if outcome == 'cancelled' and seen[4] then
    error = 'cancelled by ' .. seen[4]
  end
  close(identity, outcome, run, error, now, keep_ms)
  redis.call('HSET', slot_key, 'token', token)
  if tonumber(hold_ms) > 0 then
    redis.call('HSET', holders, job_of(identity), identity)
    redis.call('ZADD', leases, math.floor(now / 1000) + hold_ms, identity)
  end
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
