-- claim: gives the slot and its job's lease to one owner, or says why not.
-- ARGV: identity, owner, lease ms, overlap policy, keep ms, slot ms ('' = manual), window end ms ('' = none), run JSON
-- Returns {'claimed', token, now us} | {'duplicate', state} | {'busy', holder} | {'late', ''} | {'lost', ''}
local identity, owner, lease_ms, overlap, keep_ms, slot_ms, window_ms, run = unpack(ARGV)
local now = now_us()
local now_ms = math.floor(now / 1000)
local seen = redis.call('HMGET', slot_key, 'state', 'owner', 'token', 'outcome')

if seen[1] == 'done' then
  return { 'duplicate', seen[4] }
end
if seen[1] == 'running' then
  if seen[2] ~= owner then
    return { 'duplicate', 'running' }
  end
  redis.call('ZADD', leases, now_ms + lease_ms, identity)
  return { 'claimed', seen[3], text(now) }
end

if slot_ms ~= '' and not seen[1] and tonumber(slot_ms) <= epoch_ms(now_ms) then
  close(identity, 'missed', run, LOST, now, keep_ms)
  return { 'lost', '' }
end
if window_ms ~= '' and now_ms > tonumber(window_ms) then
  close(identity, 'missed', run, 'no worker took it within its window', now, keep_ms)
  return { 'late', '' }
end

local job = job_of(identity)
if overlap ~= 'allow' then
  local holder = redis.call('HGET', holders, job)
  local expiry = holder and tonumber(redis.call('ZSCORE', leases, holder))
  if expiry and expiry > now_ms then
    if overlap == 'skip' then
      close(identity, 'skipped', run, 'busy: ' .. holder .. ' is still running', now, keep_ms)
    end
    return { 'busy', holder }
  elseif expiry then
    local died = redis.call('HGET', slot_of(holder), 'run')
    close(holder, 'unknown', died, 'its lease ran out without an outcome', now, keep_ms)
  end
  redis.call('HSET', holders, job, identity)
end

local token = math.max(tonumber(redis.call('GET', tokens) or '0') + 1, now)
redis.call('SET', tokens, text(token))
redis.call('HSET', slot_key, 'state', 'running', 'owner', owner, 'token', text(token), 'run', run)
redis.call('PERSIST', slot_key)
redis.call('ZADD', leases, now_ms + lease_ms, identity)
redis.call('ZREM', windows, identity)
return { 'claimed', text(token), text(now) }
