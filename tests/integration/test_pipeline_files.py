"""What happens to a file between two reads: grown, torn, rewritten, truncated, replaced, touched, gone, unreadable."""

import os
from dataclasses import asdict

import msgspec
import pytest

from tasks.domain.transcript import GIANT_LINE_BYTES
from tests.integration.pipeline_bench import Bench
from workers.demo.sessions import Script

KEY = ("alice", "s")
PATH = "alice/s.jsonl"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def script(seed=1):
    return Script(seed=seed, session_id="s")


def test_a_file_that_grew_is_read_from_where_the_last_read_ended(bench):
    writer = script()
    bench.write(PATH, *writer.turns(5))
    bench.ingest()
    more = writer.turns(5)
    bench.append(PATH, *more)
    (committed,) = bench.ingest()
    assert (committed.bytes, committed.lines) == (sum(map(len, more)), len(more))
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()


@pytest.mark.parametrize("torn_at", [1, 40, -2, -1])
def test_a_torn_last_line_waits_for_its_end_and_counts_once(bench, torn_at):
    writer = script()
    *whole, last = writer.turns(3)
    bench.write(PATH, *whole, last[:torn_at])
    bench.ingest()
    bench.append(PATH, last[torn_at:])
    bench.ingest()
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()
    cursor = bench.cursor(PATH)
    assert (cursor["bad_lines"], cursor["lines"]) == (0, len(whole) + 1)


def test_a_last_line_without_its_newline_counts_when_it_is_whole(bench):
    writer = script()
    first = writer.turns(3)
    bench.write(PATH, b"".join(first).rstrip(b"\n"))
    bench.ingest()
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()
    second = writer.turns(2)
    bench.append(PATH, b"\n", *second)
    bench.ingest()
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()
    assert bench.cursor(PATH)["lines"] == len(first) + len(second)


def test_a_last_line_that_goes_on_after_it_seemed_whole_is_read_anew(bench):
    bench.write(PATH, *script().turns(1), b'{"type":"user"}')
    bench.ingest()
    bench.append(PATH, b'{"type":"user"}\n')
    bench.ingest()
    assert bench.cursor(PATH)["bad_lines"] == 1


def test_a_rewritten_file_replaces_its_rows(bench):
    bench.write(PATH, *script(1).turns(5))
    bench.ingest()
    other = script(2)
    bench.write(PATH, *other.turns(9))
    bench.ingest()
    assert asdict(other.figures).items() <= bench.sessions()[KEY].items()


def test_a_truncated_file_replaces_its_rows(bench):
    writer = script()
    kept = writer.turns(2)
    figures = asdict(writer.figures)
    bench.write(PATH, *kept, *writer.turns(3))
    bench.ingest()
    bench.write(PATH, *kept)
    bench.ingest()
    assert figures.items() <= bench.sessions()[KEY].items()


def test_a_file_changed_in_its_middle_without_growing_replaces_its_rows(bench):
    content = b"".join(script().turns(20))
    assert len(content) > 20_000
    bench.write(PATH, content)
    bench.ingest()
    before = bench.sessions()[KEY]
    bench.write(PATH, content[:10_000] + content[10_000:].replace(b'"name":"Bash"', b'"name":"Baxh"'))
    os.utime(bench.root / PATH, ns=(1, 1))
    bench.ingest()
    assert bench.rows("select count(*) from usage_tools where name = 'Baxh'")[0][0] > 0
    assert bench.sessions()[KEY] == before


def test_a_touched_file_gives_nothing_new_and_is_not_read_again(bench):
    bench.write(PATH, *script().turns(2))
    bench.ingest()
    before = bench.rows("select * from usage_messages")
    os.utime(bench.root / PATH, ns=(5, 5))
    (committed,) = bench.ingest()
    assert (committed.rows, committed.bytes) == (0, 0)
    assert bench.rows("select * from usage_messages") == before
    assert bench.scan().unchanged == 1


def test_a_file_copied_over_with_more_at_its_end_is_read_on(bench):
    writer = script()
    first = writer.turns(4)
    bench.write(PATH, *first)
    bench.ingest()
    more = writer.turns(1)
    bench.write("copy", *first, *more).rename(bench.root / PATH)
    (committed,) = bench.ingest()
    assert committed.lines == len(more)
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()


def test_a_rotated_file_is_another_one_behind_its_old_name(bench):
    old, new = script(1), Script(seed=2, session_id="t")
    bench.write(PATH, *old.turns(4))
    bench.ingest()
    (bench.root / PATH).rename(bench.root / "alice" / "s.1.jsonl")
    bench.write(PATH, *new.turns(9))
    bench.ingest()
    sessions = bench.sessions()
    assert asdict(old.figures).items() <= sessions["alice", "s"].items()
    assert asdict(new.figures).items() <= sessions["alice", "t"].items()


def test_rows_of_a_file_that_is_gone_stay(bench):
    writer = script()
    bench.write(PATH, *writer.turns(3))
    bench.ingest()
    before = bench.sessions()
    (bench.root / PATH).unlink()
    assert bench.ingest() == []
    assert bench.sessions() == before


def test_a_file_that_vanishes_after_the_scan_is_no_failure(bench):
    bench.write(PATH, *script().turns(1))
    batches = bench.scan().batches
    (bench.root / PATH).unlink()
    (committed,) = [bench.commit(bench.process(batch)) for batch in batches]
    assert (committed.files, committed.failed) == (0, 0)


BAD = [b"{torn", b"[1, 2]", b'"text"', b"3", b'{"type":"user"} {}', b'{"cwd":"\xff\xfe"}', b'{"x":"\xc3"}', b"\x00\x00"]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_line_is_counted_with_its_number_and_costs_only_itself(bench, bad):
    writer = script()
    lines = writer.turns(4)
    bench.write(PATH, *lines[:3], bad + b"\n", b"\n", *lines[3:])
    bench.ingest()
    cursor = bench.cursor(PATH)
    assert (cursor["bad_lines"], cursor["bad_line_numbers"]) == (1, [4])
    assert cursor["lines"] == len(lines) + 2
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()


def test_bad_lines_of_later_reads_are_added_under_their_own_numbers(bench):
    bench.write(PATH, b"{}\n", b"bad\n")
    bench.ingest()
    bench.append(PATH, b"{}\n", b"bad\n")
    bench.ingest()
    cursor = bench.cursor(PATH)
    assert (cursor["bad_lines"], cursor["bad_line_numbers"]) == (2, [2, 4])


def test_fields_of_unexpected_types_cost_only_themselves(bench):
    odd = {
        "type": "assistant",
        "sessionId": "s",
        "timestamp": 5,
        "cwd": ["x"],
        "message": {"id": "m", "usage": {"input_tokens": "many", "output_tokens": 7}, "content": [3, {"type": 1}]},
    }
    bench.write(PATH, msgspec.json.encode(odd) + b"\n")
    bench.ingest()
    session = bench.sessions()[KEY]
    assert (session["messages"], session["input_tokens"], session["output_tokens"]) == (1, 0, 7)
    assert bench.cursor(PATH)["bad_lines"] == 0


def test_an_empty_file_is_read_once(bench):
    bench.write(PATH)
    bench.ingest()
    assert bench.scan().unchanged == 1


def test_a_line_larger_than_what_is_held_decoded_keeps_its_figures(bench):
    writer = script()
    lines = writer.turns(1)
    huge = msgspec.json.decode(lines[1])
    huge["toolUseResult"] = "x" * (GIANT_LINE_BYTES + 1)
    bench.write(PATH, lines[0], msgspec.json.encode(huge), b"\n", *lines[2:])
    bench.ingest()
    assert asdict(writer.figures).items() <= bench.sessions()[KEY].items()


def test_links_that_lead_out_of_the_root_are_refused_and_said(bench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_bytes(b"".join(script().turns(1)))
    bench.write("alice/t.jsonl", *Script(seed=3, session_id="t").turns(1))
    (bench.root / "alice" / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (bench.root / "eve").symlink_to(outside)
    (bench.root / "alice" / "alias.jsonl").symlink_to(bench.root / "alice" / "t.jsonl")
    plan = bench.scan()
    assert (plan.seen, sorted(plan.refused)) == (1, ["alice/link.jsonl", "eve"])


def test_a_file_that_becomes_a_link_after_the_scan_is_not_followed(bench, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(b"".join(script().turns(1)))
    bench.write(PATH, b"{}\n")
    (batch,) = bench.scan().batches
    (bench.root / PATH).unlink()
    (bench.root / PATH).symlink_to(secret)
    assert bench.commit(bench.process(batch)).failed == 1
    assert bench.sessions() == {}


def test_a_file_that_may_not_be_read_fails_alone(bench):
    bench.write("alice/t.jsonl", *Script(seed=3, session_id="t").turns(1))
    fifo = bench.root / PATH
    bench.write(PATH, b"{}\n")
    (batch,) = bench.scan().batches
    fifo.unlink()
    os.mkfifo(fifo)
    committed = bench.commit(bench.process(batch))
    assert (committed.files, committed.failed) == (1, 1)
    assert "no regular file" in bench.cursor(PATH)["error"]


def test_a_folder_that_becomes_a_link_after_the_scan_is_not_followed(bench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "s.jsonl").write_bytes(b"{}\n")
    bench.write(PATH, b"{}\n")
    (batch,) = bench.scan().batches
    (bench.root / PATH).unlink()
    (bench.root / "alice").rmdir()
    (bench.root / "alice").symlink_to(outside)
    assert bench.commit(bench.process(batch)).failed == 1
    assert "leads out" in bench.cursor(PATH)["error"]
