-- What the ledger keeps in the warehouse beside the runs: schedules, streaks, alerts; and the reading of all of it.

-- name: has_tables
select count(*) = 3 from duckdb_tables() where table_name in ('runs', 'marks', 'schedules');

-- name: append_schedules
insert into schedules by name
select unnest(from_json($entries, '[{
    "stream_id": "VARCHAR", "job": "VARCHAR", "state": "VARCHAR", "origin": "VARCHAR", "cadence": "VARCHAR",
    "timezone": "VARCHAR", "catch_up": "VARCHAR", "reason": "VARCHAR", "definition": "VARCHAR",
    "since": "TIMESTAMPTZ", "author": "VARCHAR"
}]'), recursive := true)
on conflict do nothing;

-- name: read_schedules
select stream_id, job, state, origin, cadence, timezone, catch_up, reason, definition, since, author
from schedules order by stream_order(stream_id);

-- name: read_streaks
select job, failures, empties, missed, alerted, since from streaks where job in (select unnest($jobs));

-- name: write_streaks
insert into streaks by name
select unnest(from_json($streaks, '[{
    "job": "VARCHAR", "failures": "INTEGER", "empties": "INTEGER", "missed": "INTEGER", "alerted": "BOOLEAN",
    "since": "TIMESTAMPTZ"
}]'), recursive := true)
on conflict (job) do update set
    failures = excluded.failures, empties = excluded.empties, missed = excluded.missed, alerted = excluded.alerted,
    since = excluded.since;

-- name: queue_alerts
insert into alerts by name
select id, alert->>'job' as job, alert->>'event' as event, alert, 'queued' as state, $now as queued_at
from (select unnest(from_json($alerts, '[{"id": "VARCHAR", "alert": "JSON"}]'), recursive := true))
on conflict do nothing;

-- name: take_alerts
update alerts set state = 'taken'
where id in (select id from alerts where state = 'queued' order by queued_at, id limit $most)
returning alert;

-- name: end_alert
update alerts set state = $state, attempts = $attempts, error = $error, ended_at = $now where id = $id;

-- name: forget_taken  (whoever took them died: they may have arrived, so they are not sent again)
update alerts set state = 'unknown', ended_at = $now where state = 'taken';

-- name: prune_alerts
delete from alerts where queued_at < $older_than and state not in ('queued', 'taken');

-- name: mark
select value from marks where name = $name;

-- name: runs  (all that a question may be about, the newest first)
select job, key, source, outcome, run_id, slot, error, lateness_s, duration_s, worker, attempt, token, dispatched_at,
    claimed_at, started_at, finished_at, detail
from runs
where ($job is null or job = $job) and ($since is null or coalesce(slot, claimed_at, finished_at) >= $since)
    and ($outcome is null or outcome = $outcome)
order by coalesce(slot, claimed_at, finished_at) desc, stream_order(stream_id) desc
limit $most;

-- name: run
select job, key, source, outcome, run_id, slot, error, lateness_s, duration_s, worker, attempt, token, dispatched_at,
    claimed_at, started_at, finished_at, detail
from runs where job = $job and (key = $key or run_id = $key) limit 1;

-- name: outcomes
select job, key, outcome from runs where slot > $since;

-- name: rows_of_missed  (entries that stand for many slots: from `slot` up to detail.last)
select job, slot, detail->>'last' as last, outcome from runs where detail->>'last' is not null;

-- name: newest_slots
select job, max(greatest(slot, coalesce(try_cast(detail->>'last' as timestamptz), slot))) as newest
from runs where slot is not null group by job;

-- name: consumed  (slots of a job that count as run: a missed one never was)
select count(*) from runs where job = $job and slot > $since and outcome <> 'missed';
