-- The ledger of runs: what became of every slot, as drained from the stream.

-- name: append
insert into runs by name
with entries as (
    select unnest(from_json($entries, '[{
        "stream_id": "VARCHAR", "job": "VARCHAR", "key": "VARCHAR", "slot": "TIMESTAMPTZ", "source": "VARCHAR",
        "outcome": "VARCHAR", "lateness_s": "DOUBLE", "duration_s": "DOUBLE", "error": "VARCHAR", "worker": "VARCHAR",
        "attempt": "INTEGER", "token": "BIGINT", "run_id": "VARCHAR", "dispatched_at": "TIMESTAMPTZ",
        "claimed_at": "TIMESTAMPTZ", "started_at": "TIMESTAMPTZ", "finished_at": "TIMESTAMPTZ", "detail": "JSON"
    }]'), recursive := true)
)
select * from entries
qualify row_number() over (partition by job, key order by stream_order(stream_id) desc) = 1
on conflict (job, key) do update set
    slot = excluded.slot, source = excluded.source, outcome = excluded.outcome, lateness_s = excluded.lateness_s,
    duration_s = excluded.duration_s, error = excluded.error, worker = excluded.worker, attempt = excluded.attempt,
    token = excluded.token, run_id = excluded.run_id, dispatched_at = excluded.dispatched_at,
    claimed_at = excluded.claimed_at, started_at = excluded.started_at, finished_at = excluded.finished_at,
    detail = excluded.detail, stream_id = excluded.stream_id
where stream_order(excluded.stream_id) > stream_order(runs.stream_id);

-- name: prune
delete from runs where coalesce(finished_at, slot) < $older_than;
