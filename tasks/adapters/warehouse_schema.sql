-- The warehouse: its tables beside those of the processors. Every statement is harmless when repeated.

-- name: session
set TimeZone = 'UTC';

-- name: read_mark
select value from marks where name = $name;

-- name: write_mark
insert into marks values ($name, $value) on conflict (name) do update set value = excluded.value;

-- name: there
select table_name from duckdb_tables();

-- name: tables
create table if not exists marks (name text primary key, value text not null);

create table if not exists fences (name text primary key, token bigint not null);

create table if not exists runs (
    job text not null, key text not null, slot timestamptz, source text not null, outcome text not null,
    lateness_s double, duration_s double, error text, worker text, attempt integer, token bigint, run_id text,
    dispatched_at timestamptz, claimed_at timestamptz, started_at timestamptz, finished_at timestamptz,
    detail json, stream_id text not null,
    primary key (job, key)
);

-- The cursors. `generation` grows with each commit; `read_offset`, `lines`, `crc`, `fingerprint` and `version` are those
-- of the last good read; `size`, `mtime_ns`, `inode` and `tried_version` those of the last attempt. Of a pruned
-- file the rows are gone, but not the knowledge that it was read.
create table if not exists session_files (
    processor text not null, path text not null, file bigint not null, username text not null,
    session_id text not null, generation bigint not null, version integer not null, tried_version integer not null,
    size bigint not null, mtime_ns bigint not null, inode ubigint not null, read_offset bigint not null,
    lines bigint not null, crc bigint not null, fingerprint text not null, bad_lines bigint not null,
    bad_line_numbers bigint[] not null, attempts integer not null, error text, next_retry_at timestamptz,
    quarantined_at timestamptz, committed_at timestamptz not null, token bigint not null,
    primary key (processor, path)
);

alter table session_files add column if not exists pruned_at timestamptz;

create or replace macro stream_order(id) as
    split_part(id, '-', 1)::hugeint * 18446744073709551616 + coalesce(try_cast(split_part(id, '-', 2) as hugeint), 0);
