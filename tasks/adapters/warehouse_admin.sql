-- Looking after session files: what the cursors say, trying again, reading anew, forgetting, comparing with a rebuild.

-- name: users
select processor, username, count(*), sum(read_offset)::bigint, sum(lines)::bigint, sum(bad_lines)::bigint,
    count(error), count(quarantined_at), max(committed_at)
from session_files group by processor, username order by processor, username;

-- name: troubles
select processor, path, attempts, error, next_retry_at, quarantined_at, bad_lines, bad_line_numbers
from session_files where error is not null or bad_lines > 0
order by quarantined_at is null, error is null, processor, path;

-- name: retry
update session_files set attempts = 0, next_retry_at = $now, quarantined_at = null
where error is not null and (len($processors) = 0 or processor in (select unnest($processors)))
    and (len($paths) = 0 or path in (select unnest($paths)));

-- name: reprocess  (a version that no processor has makes the next scan read the file from its beginning)
update session_files
set version = -1, tried_version = -1, generation = generation + 1, attempts = 0, error = null, next_retry_at = null,
    quarantined_at = null
where processor = $processor and (len($paths) = 0 or path in (select unnest($paths)));

-- name: kept
select path, file, processor, generation, read_offset, lines, crc, fingerprint, size, inode
from session_files where processor = $processor and version = $version and pruned_at is null order by path;

-- name: present
create or replace temp table present (path text);

-- name: old
create or replace temp table old as
select processor, file, path, path in (from present) as still_there
from session_files where make_timestamptz((mtime_ns / 1000)::bigint) < $older_than and pruned_at is null;

-- name: old_count
select count(distinct path) from old;

-- name: forget_rows
delete from the_table where file in (select file from old where processor = $processor);

-- name: forget_gone
delete from session_files where (processor, path) in (select (processor, path) from old where not still_there);

-- name: mark_pruned
update session_files set pruned_at = $now
where (processor, path) in (select (processor, path) from old where still_there);

-- name: settle
drop table old;
drop table present;

-- name: attach_warehouse
attach the_file as warehouse (read_only);

-- name: make_kept
attach ':memory:' as kept;

-- name: make_rebuilt
attach ':memory:' as rebuilt;

-- name: use_kept
use kept;

-- name: use_rebuilt
use rebuilt;

-- name: fill_kept
insert into kept.main.the_table by name
select * from warehouse.main.the_table where file in (select unnest($files));

-- name: fill_rebuilt
insert into rebuilt.main.the_table by name
select * from read_parquet($paths) where file in (select unnest($files));

-- name: compare
with missing as (from rebuilt.main.the_table except all from kept.main.the_table),
    extra as (from kept.main.the_table except all from rebuilt.main.the_table)
select (select count(*) from missing), (select count(*) from extra),
    coalesce((select 'missing ' || missing::text from missing limit 1), (select 'extra ' || extra::text from extra limit 1), '');
