-- Verifications: evidence by file, each with the user's own words; and the knowledge that it comes to.
-- Evidence goes with its file (rewritten, pruned); knowledge goes with its last evidence, at the next commit.

create table if not exists verifications (
    file bigint, line bigint, username text, session_id text, kind text, title text, content text, quote text,
    domain text, entities text[], said_at timestamptz, knowledge_id text
);

-- `strength` is the confidence on the day of the last verification; `checked` says that contradictions were looked for.
create table if not exists knowledge_items (
    id text, kind text, title text, content text, domain text, entities text[], kinds text[], strength double,
    evidence bigint, verifiers bigint, first_at timestamptz, last_at timestamptz, learned_at timestamptz,
    checked boolean, asked_at timestamptz
);

create table if not exists knowledge_contradictions (
    id text, other_id text, reason text, found_at timestamptz
);

-- What is known now: `confidence` is halved for each 365 days since the last verification.
create or replace view knowledge as
with pairs as (
    select id, other_id from knowledge_contradictions
    union
    select other_id, id from knowledge_contradictions
), contradicted as (
    select id, list_sort(list(other_id)) as contradicts from pairs group by id
)
select id, title, content, domain, entities, kind,
    strength * pow(0.5, greatest(epoch(current_timestamp) - epoch(last_at), 0) / (365 * 86400)) as confidence,
    evidence, verifiers, first_at, last_at, learned_at, coalesce(contradicts, []) as contradicts
from knowledge_items left join contradicted using (id);
