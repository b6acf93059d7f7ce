"""What the commands for session files say."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.domain.cadence_text import parse_cadence
from tasks.domain.claims import Progress
from tasks.domain.outcomes import Outcome, Run, Source
from tasks.domain.session_state import HORIZON, longest_gap
from workers.cli.sessions_progress import done_of, files_of
from workers.cli.sessions_text import totals

FRIDAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
DONE = {"files": 1000, "rows": 1, "bytes": 223_000_000, "lines": 200_000, "bad_lines": 0, "failed": 0, "left_over": 0}


def ended(outcome=Outcome.OK, error=None, seconds=2.0, **detail):
    return Run(
        job="j", key="k", source=Source.MANUAL, outcome=outcome, run_id="r", error=error, duration_s=seconds,
        detail=detail,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (ended(**DONE), "ok: 1,000 files, 223.0 MB, 200,000 lines in 2 s (111.5 MB/s)"),
        (
            ended(**DONE | {"bad_lines": 3, "failed": 1, "left_over": 7}),
            (
                "ok: 1,000 files, 223.0 MB, 200,000 lines in 2 s (111.5 MB/s); 3 bad line(s); 1 file(s) failed; "
                "7 file(s) left for the next run"
            ),
        ),
        (ended(files=0, unchanged=12, waiting=0), "ok: nothing new in 12 files in 2 s"),
        (ended(Outcome.FAILED, "disk full", **DONE | {"bytes": 0}), None),
        (ended(Outcome.SKIPPED, "not configured"), "skipped in 2 s: not configured"),
        (ended(Outcome.UNKNOWN, "its lease ran out", seconds=None), "unknown: its lease ran out"),
        (ended(files=2, asked=2, knowledge=1), "ok: files 2, asked 2, knowledge 1 in 2 s"),
    ],
)
def test_totals_are_one_line(run, text):
    assert totals(run) == (text or "failed (disk full): 1,000 files, 0.0 MB, 200,000 lines in 2 s")


def test_progress_is_of_the_bytes_that_were_planned():
    begun = Progress(parts_left=3, error=None, figures={"planned_files": 1200, "planned_bytes": 90, "left_over": 0})
    later = Progress(parts_left=1, error=None, figures={**begun.figures, "files": 1000, "bytes": 60})
    assert (done_of(begun), files_of(begun)) == ((0, 90), "0 of 1,200 files, 3 part(s) left")
    assert (done_of(later), files_of(later)) == ((60, 90), "1,000 of 1,200 files, 1 part(s) left")


def test_progress_without_planned_bytes_counts_files_and_parts():
    progress = Progress(parts_left=2, error=None, figures={"files": 5, "asked": 4})
    assert (done_of(progress), files_of(progress)) == ((0, None), "5 files, 2 part(s) left")


@pytest.mark.parametrize(
    ("words", "gap"),
    [
        ("every 13m", timedelta(minutes=13)),
        ("daily 03:00", timedelta(days=1)),
        ("weekdays at 09:30", timedelta(days=3)),
        ("0 9,17 * * *", timedelta(hours=16)),
        ("at 2026-12-01T09:00", HORIZON),
    ],
)
def test_the_cadence_that_health_is_judged_by_is_the_longest_gap(words, gap):
    assert longest_gap(parse_cadence(words, timezone="UTC", now=FRIDAY), FRIDAY) == gap
