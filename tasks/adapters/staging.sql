-- The in-memory database in which a worker turns rows into Parquet.

-- name: connect
set TimeZone = 'UTC';

-- name: spill  (one table becomes one Parquet file)
copy the_table to the_file (format parquet, compression lz4);

-- name: empty
truncate the_table;
