-- dispatch: marks a due slot as dispatched by one beat, once.
-- ARGV: identity, beat, take-over ms, keep ms, slot ms, window end ms, run JSON
-- Returns 'yours' (send it), 'theirs' (another beat is about to send it), 'gone' (sent, run or ended already) or
-- 'lost' (due before this Redis lost its data: recorded as missed, for it may have run).
local identity, beat, takeover_ms, keep_ms, slot_ms, window_ms, run = unpack(ARGV)
local now_ms = math.floor(now_us() / 1000)
local seen = redis.call('HMGET', slot_key, 'state', 'at_ms', 'beat')
if seen[1] and seen[1] ~= 'dispatched' then
  return 'gone'
end
if seen[1] and seen[3] ~= beat and now_ms - tonumber(seen[2]) < tonumber(takeover_ms) then
  return 'theirs'
end
if not seen[1] and tonumber(slot_ms) <= epoch_ms(now_ms) then
  close(identity, 'missed', run, LOST, now_us(), keep_ms)
  return 'lost'
end
redis.call('HSET', slot_key, 'state', 'dispatched', 'beat', beat, 'at_ms', text(now_ms), 'run', run)
redis.call('PEXPIRE', slot_key, math.max(tonumber(window_ms) - now_ms, 0) + keep_ms)
redis.call('ZADD', windows, window_ms, identity)
return 'yours'
