"""One question about one session: what was heard, as rows, a cursor and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tasks.domain.batches import Cursor, Work
from tasks.domain.cursor import file_id, session_of, username
from tasks.domain.outcomes import cut_error
from tasks.domain.processor import Row, Rows
from tasks.domain.verification import AnswerError, Findings, Verification, findings_of
from tasks.domain.verification_questions import verification_question
from tasks.processors.verification import EVIDENCE
from tasks.session_ports import SessionFiles
from tasks.verification_ports import Answer, LanguageModel, Unanswered
from tasks.verification_read import SessionRead, read_session

NO_MODEL = Unanswered(problem="no language model is configured on this worker", outage=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What became of one session; without a cursor its file is gone, with an error in it the session is unprocessed."""

    cursor: Cursor | None
    rows: Rows = field(default_factory=dict)
    figures: Mapping[str, int] = field(default_factory=dict)
    outage: bool = False
    bytes: int = 0
    lines: int = 0


def hear(files: SessionFiles, model: LanguageModel | None, work: Work) -> Heard:
    """Read what is new in a session and, if its user said anything, ask what they vouched for."""
    read = read_session(files, work)
    if read.cursor is None or not read.worth_asking:
        return Heard(cursor=read.cursor, bytes=read.bytes, lines=read.lines)
    reply = NO_MODEL if model is None else model.ask(verification_question(read.turns))
    if isinstance(reply, Unanswered):
        return _failed(read.cursor, reply.problem, outage=reply.outage)
    try:
        findings = findings_of(reply.body, read.turns)
    except AnswerError as error:
        return _failed(read.cursor, str(error), outage=False)
    return Heard(
        cursor=read.cursor,
        rows={EVIDENCE: [_row(work.seen.path, item, read) for item in findings.items]},
        figures=_figures(reply, findings),
        bytes=read.bytes,
        lines=read.lines,
    )


def _failed(cursor: Cursor, problem: str, *, outage: bool) -> Heard:
    failed = msgspec.structs.replace(cursor, error=cut_error(problem))
    return Heard(cursor=failed, figures={"asked": 1}, outage=outage)


def _row(path: str, item: Verification, read: SessionRead) -> Row:
    said: Sequence[object] = (item.kind.value, item.title, item.content, item.quote, item.domain, list(item.entities))
    return (file_id(path), item.line, username(path), session_of(path), *said, item.at or read.at, None)


def _figures(reply: Answer, findings: Findings) -> Mapping[str, int]:
    return {
        "asked": 1,
        "unquoted": findings.unquoted,
        "repeated": findings.repeated,
        "oversized": findings.oversized,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
    }
