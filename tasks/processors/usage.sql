-- Usage: facts per file and line, and the views that join them.
-- A message, tool call, prompt or command may stand in several lines, reads and files (split messages, resumed
-- sessions, sub-agents). Each counts once, for the session in which it stands first: by time, then in a file that
-- bears the session's name, then by name; so neither the order nor the cutting of reads matters.

create table if not exists usage_messages (
    file bigint, line bigint, username text, session_id text, home boolean, message_id text, request_id text, model text,
    first_at timestamptz, at_time timestamptz,
    input_tokens bigint, output_tokens bigint, cache_read_tokens bigint, cache_creation_tokens bigint
);

create table if not exists usage_tool_calls (
    file bigint, line bigint, username text, session_id text, home boolean, tool_use_id text, name text,
    mcp_server text, mcp_tool text, inside text, at_time timestamptz
);

create table if not exists usage_tool_results (
    file bigint, line bigint, tool_use_id text, is_error boolean, at_time timestamptz
);

create table if not exists usage_prompts (
    file bigint, line bigint, username text, session_id text, home boolean, prompt_id text, at_time timestamptz
);

create table if not exists usage_commands (
    file bigint, line bigint, username text, session_id text, home boolean, command_id text, name text,
    at_time timestamptz
);

create table if not exists usage_spans (
    file bigint, line bigint, username text, session_id text, started_at timestamptz, ended_at timestamptz,
    about_at timestamptz, cwd text, git_branch text, client_version text
);

-- Each message once: the figures of its last line, for the session in which it stands first.
create or replace view usage_messages_once as
with by_file as (
    select * replace (min(first_at) over same as first_at)
    from usage_messages
    window same as (partition by file, message_id, request_id)
    qualify row_number() over (same order by line desc) = 1
)
select message_id, request_id,
    first_value(username) over owner as username,
    first_value(session_id) over owner as session_id,
    first_value(first_at) over owner as first_at,
    model, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens
from by_file
window owner as (
    partition by message_id, request_id order by first_at nulls last, not home, username, session_id, file
)
qualify row_number() over (
    partition by message_id, request_id order by at_time desc nulls last, output_tokens desc, file
) = 1;

-- Each tool call once, with what became of it; without a result `is_error` and `duration_s` are null.
create or replace view usage_tools as
with calls as (
    select * from usage_tool_calls
    qualify row_number() over (
        partition by tool_use_id order by at_time nulls last, not home, username, session_id, file, line
    ) = 1
), results as (
    select tool_use_id, bool_or(is_error) as is_error, min(at_time) as ended_at
    from usage_tool_results group by tool_use_id
)
select calls.username, calls.session_id, calls.tool_use_id, calls.name, calls.mcp_server, calls.mcp_tool,
    case when calls.name in ('Task', 'Agent') then coalesce(calls.inside, '') end as subagent,
    case when calls.name = 'Skill' then coalesce(calls.inside, '') end as skill,
    calls.at_time as started_at, results.ended_at, results.is_error,
    (epoch_us(results.ended_at) - epoch_us(calls.at_time)) / 1e6 as duration_s
from calls left join results using (tool_use_id);

-- Each message of a person once.
create or replace view usage_prompts_once as
select username, session_id, prompt_id, at_time from usage_prompts
qualify row_number() over (
    partition by prompt_id order by at_time nulls last, not home, username, session_id, file, line
) = 1;

-- Each slash command once.
create or replace view usage_commands_once as
select username, session_id, command_id, name, at_time from usage_commands
qualify row_number() over (
    partition by command_id order by at_time nulls last, not home, username, session_id, file, line
) = 1;

-- When a session ran and where: `active_s` leaves out gaps of more than 600 seconds.
create or replace view usage_activity as
with ordered as (
    select *, max(ended_at) over (
        partition by username, session_id order by started_at, ended_at, file, line
        rows between unbounded preceding and 1 preceding
    ) as reached
    from usage_spans
)
select username, session_id, min(started_at) as started_at, max(ended_at) as ended_at,
    (epoch_us(max(ended_at)) - epoch_us(min(started_at))) / 1e6 as wall_s,
    sum(case
        when reached is null or started_at > reached + interval 600 seconds then epoch_us(ended_at) - epoch_us(started_at)
        else epoch_us(greatest(ended_at, reached)) - epoch_us(reached)
    end) / 1e6 as active_s,
    arg_max(cwd, row(about_at, file, line)) as cwd,
    arg_max(git_branch, row(about_at, file, line)) as git_branch,
    arg_max(client_version, row(about_at, file, line)) as client_version
from ordered
group by username, session_id;

-- One row for each session of a user.
create or replace view usage_sessions as
with messages as (
    select username, session_id, count(*) as messages, sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens, sum(cache_read_tokens) as cache_read_tokens,
        sum(cache_creation_tokens) as cache_creation_tokens
    from usage_messages_once group by all
), tools as (
    select username, session_id, count(*) as tool_calls, count(*) filter (is_error) as tool_errors,
        count(mcp_server) as mcp_calls, count(subagent) as subagents, count(skill) as skills
    from usage_tools group by all
), prompts as (
    select username, session_id, count(*) as user_messages from usage_prompts_once group by all
), commands as (
    select username, session_id, count(*) as slash_commands from usage_commands_once group by all
), sessions as (
    select username, session_id from usage_activity
    union select username, session_id from messages
    union select username, session_id from tools
    union select username, session_id from prompts
    union select username, session_id from commands
)
select session_id, username,
    coalesce(messages, 0) as messages,
    coalesce(user_messages, 0) as user_messages,
    coalesce(input_tokens, 0)::bigint as input_tokens,
    coalesce(output_tokens, 0)::bigint as output_tokens,
    coalesce(cache_read_tokens, 0)::bigint as cache_read_tokens,
    coalesce(cache_creation_tokens, 0)::bigint as cache_creation_tokens,
    coalesce(tool_calls, 0) as tool_calls,
    coalesce(tool_errors, 0) as tool_errors,
    coalesce(mcp_calls, 0) as mcp_calls,
    coalesce(subagents, 0) as subagents,
    coalesce(skills, 0) as skills,
    coalesce(slash_commands, 0) as slash_commands,
    started_at, ended_at, wall_s, active_s, cwd, git_branch, client_version
from sessions
left join messages using (username, session_id)
left join tools using (username, session_id)
left join prompts using (username, session_id)
left join commands using (username, session_id)
left join usage_activity using (username, session_id);

-- Tokens by day (UTC), user and model, since an instant.
create or replace macro usage_tokens_since(since) as table
select (first_at at time zone 'UTC')::date as day, username, coalesce(model, '') as model, count(*) as messages,
    sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
    sum(cache_read_tokens)::bigint as cache_read_tokens, sum(cache_creation_tokens)::bigint as cache_creation_tokens
from usage_messages_once
where since is null or first_at >= since
group by all order by all;

-- Tools by number of calls, with their errors and how long they took, since an instant.
create or replace macro usage_tools_since(since) as table
select name as tool, any_value(mcp_server) as mcp_server, count(*) as calls, count(*) filter (is_error) as errors,
    count(*) filter (is_error) / nullif(count(is_error), 0) as error_rate,
    quantile_cont(duration_s, 0.5) as p50_s, quantile_cont(duration_s, 0.95) as p95_s
from usage_tools
where since is null or started_at >= since
group by name order by calls desc, name;

-- Per day and tool.
create or replace view usage_tools_by_day as
select (started_at at time zone 'UTC')::date as day, name as tool, count(*) as calls,
    count(*) filter (is_error) as errors
from usage_tools group by all;

-- Per user and model.
create or replace view usage_models as
select username, coalesce(model, '') as model, count(*) as messages,
    sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
    sum(cache_read_tokens)::bigint as cache_read_tokens, sum(cache_creation_tokens)::bigint as cache_creation_tokens
from usage_messages_once group by all;

-- The tools that are called most, with their error rates and durations.
create or replace view usage_top_tools as from usage_tools_since(null::timestamptz);

-- Calls of MCP servers.
create or replace view usage_mcp as
select mcp_server, mcp_tool, count(*) as calls, count(*) filter (is_error) as errors
from usage_tools where mcp_server is not null group by all;
