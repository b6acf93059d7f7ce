-- Session files: comparing what is there with the cursors, and committing what was read.

-- name: seen
create or replace temp table seen (path text, size bigint, mtime_ns bigint, inode ubigint);

-- name: wanted
create or replace temp table wanted (processor text, version integer);

-- name: compare  (what must be read is `due`; a failed file waits for its next try, a quarantined one for a change)
create or replace temp table compared as
with known as (
    select seen.*, wanted.processor, wanted.version as wanted_version, c.* exclude (processor, path, size, mtime_ns, inode),
        c.size as read_size, c.inode as read_inode,
        c.size <> seen.size or c.mtime_ns <> seen.mtime_ns or c.inode <> seen.inode as changed
    from seen cross join wanted
    left join session_files c on c.processor = wanted.processor and c.path = seen.path
)
select path, size, mtime_ns, inode, processor, coalesce(generation, 0) as generation,
    if(version = wanted_version, read_offset, 0) as read_offset, lines, crc, fingerprint, read_size, read_inode, attempts,
    case
        when generation is null or tried_version <> wanted_version then 'due'
        when quarantined_at is not null then if(changed, 'due', 'quarantined')
        when error is not null then if(next_retry_at <= $now, 'due', 'waiting')
        when changed then 'due'
        else 'unchanged'
    end as state
from known;

-- name: due
select path, size, mtime_ns, inode, processor, generation, coalesce(read_offset, 0), coalesce(lines, 0),
    coalesce(crc, 0), coalesce(fingerprint, ''), coalesce(read_size, 0), coalesce(read_inode, 0),
    coalesce(attempts, 0)
from compared where state = 'due' order by mtime_ns, path, processor;

-- name: states
select state, count(distinct path) from compared where state <> 'due' group by state;

-- name: forget
drop table seen;
drop table wanted;
drop table compared;

-- name: read_fence
select token from fences where name = $name;

-- name: write_fence
insert into fences values ($name, $token) on conflict (name) do update set token = excluded.token;

-- name: staged
create or replace temp table staged (
    processor text, path text, file bigint, username text, session_id text, generation bigint, version integer,
    size bigint, mtime_ns bigint, inode ubigint, anew boolean, read_offset bigint, lines bigint, crc bigint,
    fingerprint text, bad_lines bigint, bad_line_numbers bigint[], error text, lost boolean
);

-- name: accept  (compare and set: a cursor that has moved since the scan drops the file)
create or replace temp table accepted as
select staged.*, staged.error is not null as failed from staged
left join session_files c on c.processor = staged.processor and c.path = staged.path
where coalesce(c.generation, 0) = staged.generation;

-- name: counts
select count(*), count(*) filter (failed), coalesce(sum(bad_lines) filter (not failed), 0),
    count(*) filter (anew and not failed)
from accepted;

-- name: replace
delete from the_table where file in (
    select file from accepted where processor = $processor and anew and not failed
);

-- name: insert
insert into the_table by name
select * from read_parquet($paths)
where file in (select file from accepted where processor = $processor and not failed);

-- name: move  (a failed read keeps its place and waits 1, 5, 25, 125 minutes; the fifth failure in a row is quarantine)
insert into session_files by name
select s.processor, s.path, s.file, s.username, s.session_id, s.generation + 1 as generation,
    if(failed, coalesce(c.version, s.version), s.version) as version, s.version as tried_version,
    s.size, s.mtime_ns, s.inode,
    if(failed, coalesce(c.read_offset, 0), s.read_offset) as read_offset,
    if(failed, coalesce(c.lines, 0), s.lines) as lines,
    if(failed, coalesce(c.crc, 0), s.crc) as crc,
    if(failed, coalesce(c.fingerprint, ''), s.fingerprint) as fingerprint,
    if(failed, 0, s.bad_lines) + if(s.anew and not failed, 0, coalesce(c.bad_lines, 0)) as bad_lines,
    list_concat(
        if(s.anew and not failed, [], coalesce(c.bad_line_numbers, [])), if(failed, [], s.bad_line_numbers)
    )[1:100] as bad_line_numbers,
    if(failed, coalesce(c.attempts, 0) + 1, 0) as attempts,
    s.error,
    case
        when not failed then null
        when s.lost and coalesce(c.attempts, 0) = 0 then $now
        else $now + to_seconds(60 * power(5, least(coalesce(c.attempts, 0), 3)))
    end as next_retry_at,
    if(failed and coalesce(c.attempts, 0) >= 4, $now, null) as quarantined_at,
    $now as committed_at, $token as token, if(s.anew and not failed, null, c.pruned_at) as pruned_at
from accepted s left join session_files c using (processor, path)
on conflict (processor, path) do update set
    file = excluded.file, username = excluded.username, session_id = excluded.session_id,
    generation = excluded.generation, version = excluded.version, tried_version = excluded.tried_version,
    size = excluded.size, mtime_ns = excluded.mtime_ns, inode = excluded.inode, read_offset = excluded.read_offset,
    lines = excluded.lines, crc = excluded.crc, fingerprint = excluded.fingerprint, bad_lines = excluded.bad_lines,
    bad_line_numbers = excluded.bad_line_numbers, attempts = excluded.attempts, error = excluded.error,
    next_retry_at = excluded.next_retry_at, quarantined_at = excluded.quarantined_at,
    committed_at = excluded.committed_at, token = excluded.token, pruned_at = excluded.pruned_at;

-- name: settle
drop table staged;
drop table accepted;
