-- The tables of the ledger beside `runs`. Every statement is harmless when repeated.

-- name: tables
create table if not exists schedules (
    stream_id text primary key, job text not null, state text not null, origin text not null, cadence text not null,
    timezone text not null, catch_up text not null, reason text not null, definition text not null,
    since timestamptz not null, author text not null
);

create table if not exists streaks (
    job text primary key, failures integer not null, empties integer not null, missed integer not null,
    alerted boolean not null, since timestamptz
);

-- An alert is queued, then taken, then sent, failed or (when the process died in between) unknown: never queued again.
create table if not exists alerts (
    id text primary key, job text not null, event text not null, alert json not null, state text not null,
    queued_at timestamptz not null, ended_at timestamptz, attempts integer, error text
);
