-- reap: ends what nobody will end: leases that ran out become 'unknown', windows that closed become 'missed'.
-- ARGV: '' (the identity's place), keep ms, most to end in one call. Returns the identities ended.
local _, keep_ms, most = unpack(ARGV)
local now = now_us()
local now_ms = math.floor(now / 1000)
local ended = {}

-- The run of a slot that nobody reaped for so long that its hash is gone.
local function forgotten(identity)
  local job, key = string.match(identity, '^(.*)/([^/]*)$')
  return cjson.encode({ job = job, key = key, slot = key, source = 'beat', outcome = 'missed', run_id = '' })
end

for _, identity in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. text(now_ms), 'LIMIT', 0, most)) do
  if redis.call('HGET', slot_of(identity), 'state') == 'running' then
    ended[#ended + 1] = identity
  end
  close_dead(identity, now, keep_ms)
end
for _, identity in ipairs(redis.call('ZRANGEBYSCORE', windows, '-inf', '(' .. text(now_ms), 'LIMIT', 0, most)) do
  local run = redis.call('HGET', slot_of(identity), 'run') or forgotten(identity)
  close(identity, 'missed', run, 'no worker took it within its window', now, keep_ms)
  ended[#ended + 1] = identity
end
return ended
