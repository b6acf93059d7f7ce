-- claim: gives the slot and its job's lease to one owner, or says why not.
-- ARGV: identity, owner, lease ms, overlap policy, keep ms, slot ms ('' = manual), window end ms ('' = none), run JSON,
--       group ('' = none), most runs of the group at once (0 = any number)
-- Returns {'claimed', token, now us} | {'duplicate', state} | {'busy', by}: ended as skipped | {'wait', by}: try again
--       | {'late', ''} | {'lost', ''}: ended as missed | {'paused', why}: ended as skipped
local identity, owner, lease_ms, overlap, keep_ms, slot_ms, window_ms, run, group, most = unpack(ARGV)
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

local held = slot_ms ~= '' and held_back(job_of(identity))
if held then
  close(identity, 'skipped', run, held, now, keep_ms)
  return { 'paused', held }
end

local function alive(other)
  local expiry = tonumber(redis.call('ZSCORE', leases, other) or '0')
  if expiry > now_ms then
    return true
  end
  close_dead(other, now, keep_ms)
  return false
end

local function in_the_way(job)
  local holder = overlap ~= 'allow' and redis.call('HGET', holders, job)
  if holder and alive(holder) then
    return holder .. ' is still running'
  end
  if group ~= '' and tonumber(most) > 0 then
    local running = 0
    for _, other in ipairs(redis.call('SMEMBERS', beside('group:') .. group)) do
      running = running + (alive(other) and 1 or 0)
    end
    if running >= tonumber(most) then
      return 'the group ' .. group .. ' runs ' .. most .. ' at once'
    end
  end
end

local job = job_of(identity)
local by = in_the_way(job)
if by and overlap == 'queue' then
  local waiting = redis.call('HGET', beside('waiting'), job)
  if not waiting or waiting == identity or redis.call('HGET', slot_of(waiting), 'state') == 'done' then
    redis.call('HSET', beside('waiting'), job, identity)
    return { 'wait', by }
  end
  by = waiting .. ' is waiting already'
elseif by and overlap == 'defer' then
  return { 'wait', by }
end
if by then
  close(identity, 'skipped', run, 'busy: ' .. by, now, keep_ms)
  return { 'busy', by }
end

local token = math.max(tonumber(redis.call('GET', tokens) or '0') + 1, now)
free(identity)
redis.call('SET', tokens, text(token))
redis.call('HSET', slot_key, 'state', 'running', 'owner', owner, 'token', text(token), 'run', run)
redis.call('PERSIST', slot_key)
redis.call('ZADD', leases, now_ms + lease_ms, identity)
if overlap ~= 'allow' then
  redis.call('HSET', holders, job, identity)
end
if group ~= '' then
  redis.call('HSET', slot_key, 'group', group)
  redis.call('SADD', beside('group:') .. group, identity)
end
return { 'claimed', text(token), text(now) }
