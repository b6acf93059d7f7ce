"""Verifications and knowledge in the warehouse: merged in the transaction that moves the cursors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.adapters.warehouse import DuckWarehouse
from tasks.adapters.warehouse_sql import statements
from tasks.domain.batches import Fence, Staged
from tasks.domain.knowledge import Contradiction, Knowledge, Suspect, confidence, knowledge_of, match, neighbours
from tasks.domain.verification import Kind
from tasks.verification_ports import Learned

if TYPE_CHECKING:
    import duckdb

MOST_SUSPECTS = 20
_NO_CURSORS = Staged(cursors=(), parts=(), bytes=0, lines=0, folder="")


@dataclass(frozen=True, kw_only=True, slots=True)
class DuckKnowledge:
    """The knowledge in the tables of the processor `verification`, in the warehouse's file."""

    warehouse: DuckWarehouse

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence, *, outage: bool) -> Learned:
        """Write staged verifications, move their cursors and merge the knowledge in one transaction."""
        with self.warehouse.sessions() as opened:
            committed = opened.commit(staged, paths, fence)
            knowledge = OpenKnowledge(opened.connection, opened.now)
            if outage and committed.failed:
                knowledge.spare(staged)
            if not committed.files:
                return Learned(committed=committed)
            learned = knowledge.merge()
            return Learned(
                committed=committed, evidence=committed.rows, knowledge=learned, suspects=knowledge.suspects()
            )

    def flag(self, asked: Sequence[Suspect], found: Sequence[Contradiction], fence: Fence) -> int:
        """Note which suspects contradict something; returns how many pairs are new."""
        with self.warehouse.sessions() as opened:
            opened.commit(_NO_CURSORS, (), fence)
            return OpenKnowledge(opened.connection, opened.now).flag(asked, found)


@dataclass(frozen=True, slots=True)
class OpenKnowledge:
    """The knowledge of a warehouse that is open for one transaction."""

    connection: "duckdb.DuckDBPyConnection"
    now: datetime

    def merge(self) -> int:
        """Give each new piece of evidence its knowledge; returns how many pieces of knowledge are new."""
        rows = self._execute("new_evidence").fetchall()
        evidence = [
            (row, knowledge_of(Kind(kind), title, content, domain, entities))
            for row, kind, title, content, domain, entities in rows
        ]
        by_domain = groupby(evidence, key=lambda each: each[1].domain)
        created = sum(self._merge_domain(domain, list(group)) for domain, group in by_domain)
        self._execute("once")
        self._strengthen()
        self._execute("forget")
        self._execute("forget_contradictions")
        return created

    def suspects(self) -> tuple[Suspect, ...]:
        """Return what nobody has compared yet, with its neighbours, and note that it was handed out."""
        found = []
        for new in self._knowledge("unchecked", now=self.now, most=MOST_SUSPECTS):
            known = neighbours(new, self._knowledge("known", domain=new.domain))
            self._execute("asked", id=new.id, now=self.now, checked=not known)
            if known:
                found.append(Suspect(new, known))
        return tuple(found)

    def flag(self, asked: Sequence[Suspect], found: Sequence[Contradiction]) -> int:
        """Keep the contradictions found among the suspects asked about."""
        for suspect in asked:
            self._execute("asked", id=suspect.new.id, now=self.now, checked=True)
        flags = [
            self._execute("flag", id=each.id, other_id=each.other_id, reason=each.reason, now=self.now)
            for each in found
        ]
        return sum(int(flag.fetchall()[0][0]) for flag in flags)

    def spare(self, staged: Staged) -> None:
        """Let the failed sessions of a batch wait for the endpoint."""
        for cursor in staged.cursors[:1]:
            paths = [each.seen.path for each in staged.cursors]
            self._execute("spare", processor=cursor.processor, paths=paths, now=self.now)

    def _merge_domain(self, domain: str, evidence: Sequence[tuple[int, Knowledge]]) -> int:
        known = list(self._knowledge("known", domain=domain))
        before, assigned = len(known), []
        for row, new in evidence:
            found = match(new, known)
            if found is None:
                self._learn(new)
                known.append(new)
            assigned.append((row, (found or new).id))
        self._assign(assigned)
        return len(known) - before

    def _learn(self, new: Knowledge) -> None:
        values = {name: getattr(new, name) for name in new.__struct_fields__}
        self._execute("learn", now=self.now, **values | {"kind": new.kind.value, "entities": list(new.entities)})

    def _assign(self, assigned: Sequence[tuple[int, str]]) -> None:
        self._execute("assigned")
        with self.connection.appender("assigned") as appender:
            appender.append_rows(assigned)
        self._execute("assign")
        self._execute("settle")

    def _strengthen(self) -> None:
        changed = self._execute("changed")
        names = [column[0] for column in changed.description or ()]
        for row in changed.fetchall():
            facts = dict(zip(names, row, strict=True))
            kinds = [Kind(kind) for kind in facts["kinds"]]
            strength = confidence(kinds, verifiers=facts["verifiers"], age=timedelta(0))
            self._execute("strengthen", strength=strength, **facts)

    def _knowledge(self, statement: str, **values: Any) -> tuple[Knowledge, ...]:
        rows = self._execute(statement, **values).fetchall()
        return tuple(
            Knowledge(key, Kind(kind), title, content, domain, tuple(entities))
            for key, kind, title, content, domain, entities in rows
        )

    def _execute(self, statement: str, **values: Any) -> "duckdb.DuckDBPyConnection":
        return self.connection.execute(statements("knowledge.sql")[statement], values or None)
