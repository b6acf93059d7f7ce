-- Knowledge: merging new evidence into what is known, inside the transaction that commits it.

-- name: new_evidence
select rowid, kind, title, content, domain, entities from verifications
where knowledge_id is null order by domain, file, line, rowid;

-- name: known
select id, kind, title, content, domain, entities from knowledge_items where domain = $domain order by id;

-- name: learn
insert into knowledge_items by name
select $id as id, $kind as kind, $title as title, $content as content, $domain as domain, $entities as entities,
    [] as kinds, 0.0 as strength, 0 as evidence, 0 as verifiers, $now as learned_at, false as checked;

-- name: assigned
create or replace temp table assigned (evidence_row bigint, knowledge_id text);

-- name: assign
update verifications set knowledge_id = assigned.knowledge_id from assigned
where verifications.rowid = assigned.evidence_row;

-- name: once  (one file is one piece of evidence of a kind, however often its user says it)
delete from verifications where rowid in (
    select rowid from verifications
    qualify row_number() over (partition by knowledge_id, file, kind order by said_at, line, rowid) > 1
);

-- name: settle
drop table assigned;

-- name: changed  (a user and session count once, also when the session stands in two files)
with facts as (
    select knowledge_id as id, list_sort(list(distinct kind)) as kinds,
        count(distinct row(username, session_id)) as evidence, count(distinct username) as verifiers,
        min(said_at) as first_at, max(said_at) as last_at
    from verifications group by knowledge_id
)
select facts.* from facts join knowledge_items k using (id)
where row(facts.kinds, facts.evidence, facts.verifiers, facts.first_at, facts.last_at)
    is distinct from row(k.kinds, k.evidence, k.verifiers, k.first_at, k.last_at);

-- name: strengthen
update knowledge_items set kinds = $kinds, strength = $strength, evidence = $evidence, verifiers = $verifiers,
    first_at = $first_at, last_at = $last_at
where id = $id;

-- name: forget
delete from knowledge_items where id not in (select knowledge_id from verifications);

-- name: forget_contradictions
delete from knowledge_contradictions
where id not in (select id from knowledge_items) or other_id not in (select id from knowledge_items);

-- name: unchecked  (what was asked about and never answered is asked again after an hour)
select id, kind, title, content, domain, entities from knowledge_items
where not checked and (asked_at is null or asked_at < $now - interval 1 hour) order by learned_at, id limit $most;

-- name: asked
update knowledge_items set asked_at = $now, checked = $checked where id = $id;

-- name: flag
insert into knowledge_contradictions
select $id, $other_id, $reason, $now
where exists (select 1 from knowledge_items where id = $id)
    and exists (select 1 from knowledge_items where id = $other_id)
    and not exists (
        select 1 from knowledge_contradictions c
        where (c.id = $id and c.other_id = $other_id) or (c.id = $other_id and c.other_id = $id)
    );

-- name: spare  (an outage is no session's fault: it waits, at most 25 minutes, and is never quarantined)
update session_files set attempts = least(attempts, 2), quarantined_at = null,
    next_retry_at = least(next_retry_at, $now + interval 25 minutes)
where processor = $processor and error is not null and list_contains($paths, path);
