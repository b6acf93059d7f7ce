-- Shared by every script below: each is sent as this text followed by its own.
-- A slot is a hash: state (dispatched | sent | running | done), and who holds it.
local slot_key, leases, holders, ledger, tokens, epochs, windows = unpack(KEYS)
local LOST = 'Redis lost its data after this slot was due; it may have run'

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function text(number)
  return string.format('%.0f', number)
end

local function slot_of(identity)
  return string.sub(slot_key, 1, -1 - #ARGV[1]) .. identity
end

local function job_of(identity)
  return string.match(identity, '^(.*)/[^/]*$')
end

local function beside(name)
  return (string.gsub(leases, 'leases$', name))
end

-- The moment since when this Redis knows what ran: slots up to it may have run before its data was lost.
local function epoch_ms(now_ms)
  redis.call('SET', epochs, text(now_ms), 'NX')
  return tonumber(redis.call('GET', epochs))
end

-- Frees what a run holds: its lease, its job, its place in its group and in the queue of waiting slots.
local function free(identity)
  local job, group = job_of(identity), redis.call('HGET', slot_of(identity), 'group')
  redis.call('ZREM', leases, identity)
  redis.call('ZREM', windows, identity)
  if redis.call('HGET', holders, job) == identity then
    redis.call('HDEL', holders, job)
  end
  if redis.call('HGET', beside('waiting'), job) == identity then
    redis.call('HDEL', beside('waiting'), job)
  end
  if group then
    redis.call('SREM', beside('group:') .. group, identity)
  end
end

-- Ends a slot: the ledger entry is written in the same step that frees the lease.
local function close(identity, outcome, run, error, now, keep_ms)
  local key = slot_of(identity)
  free(identity)
  redis.call('HSET', key, 'state', 'done', 'outcome', outcome, 'run', run)
  redis.call('PEXPIRE', key, keep_ms)
  redis.call('XADD', ledger, '*', 'run', run, 'outcome', outcome, 'error', error, 'at_us', text(now))
end

-- Ends a run whose lease ran out: cancelled if somebody asked for that, otherwise nobody knows.
local function close_dead(identity, now, keep_ms)
  local seen = redis.call('HMGET', slot_of(identity), 'run', 'cancelled_by', 'state')
  if seen[3] ~= 'running' then
    free(identity)
  elseif seen[2] then
    close(identity, 'cancelled', seen[1], 'cancelled by ' .. seen[2], now, keep_ms)
  else
    close(identity, 'unknown', seen[1], 'its lease ran out without an outcome', now, keep_ms)
  end
end

-- Why nothing of a job may start now, nil when it may: it is paused, or was deleted a moment ago.
local function held_back(job)
  local reason = redis.call('HGET', beside('paused'), job)
  if reason then
    return reason == '' and 'paused' or 'paused: ' .. reason
  end
  return redis.call('EXISTS', beside('deleted:') .. job) == 1 and 'deleted' or nil
end
