from io import BytesIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import reading
from tasks.domain.cursor import Growth, Position, Seen, checksum, file_id, fingerprint, growth, session_of, username
from tasks.reading import checksum_of, chunks, edges, start_of

CONTENT = b"".join(b'{"n":%d}\n' % number for number in range(2000))


def position(read, **more):
    fields = {"generation": 1, "offset": len(read), "lines": read.count(b"\n"), "crc": checksum(read)}
    prints = {"fingerprint": edges(BytesIO(read), len(read)), "size": len(read), "inode": 1}
    return Position("p", **{**fields, **prints, **more})


def start(read, now, inode=1, **more):
    return start_of(position(read, **more), Seen("f", len(now), 0, inode), BytesIO(now))


def test_a_file_that_only_grew_goes_on():
    assert start(CONTENT[:8000], CONTENT).offset == 8000


def test_a_file_behind_another_inode_goes_on_only_when_every_byte_is_the_same():
    read = CONTENT[: CONTENT.index(b"\n", 12_000) + 1]
    changed = CONTENT[:6000] + b"#" + CONTENT[6001:]
    assert start(read, CONTENT, inode=2).offset == len(read)
    assert start(read, changed, inode=2).anew


@pytest.mark.parametrize("now", [CONTENT[:7999], b"#" + CONTENT[1:], CONTENT[:7990] + b"#" * 20])
def test_a_file_that_shrank_or_changed_at_its_edges_is_read_anew(now):
    found = start(CONTENT[:8000], now)
    assert (found.offset, found.anew) == (0, True)


def test_a_first_read_replaces_nothing():
    assert start(b"", CONTENT, generation=0) == reading.Start()


@pytest.mark.parametrize(
    ("size", "inode", "kind"),
    [(9, 1, Growth.ANEW), (11, 1, Growth.SAME_EDGES), (10, 1, Growth.SAME_BYTES), (11, 2, Growth.SAME_BYTES)],
)
def test_what_must_be_compared_follows_from_size_and_inode(size, inode, kind):
    assert growth(Position("p", offset=10, size=10, inode=1), Seen("f", size, 0, inode)) is kind


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), max_size=12),
    tail=st.sampled_from([b"", b"torn", b'{"a":1}']),
    chunk=st.integers(1, 40),
)
def test_every_line_is_yielded_once_and_a_torn_one_never(lines, tail, chunk):
    content = b"".join(line + b"\n" for line in lines) + tail
    found = list(chunks(BytesIO(content), 0, len(content), chunk_bytes=chunk))
    whole = content if tail != b"torn" else content[: -len(tail)]
    assert b"".join(part.data for part in found).removesuffix(b"\n") == whole.removesuffix(b"\n")
    assert all(part.data.endswith(b"\n") for part in found)
    assert (found[-1].end if found else 0) == len(whole)
    assert [part.offset for part in found] == [0, *(part.end for part in found)][: len(found)]


@given(before=st.integers(0, 5), size=st.integers(30, 100), chunk=st.integers(1, 40))
def test_a_line_that_is_too_long_stands_alone_without_its_bytes(before, size, chunk):
    content = b"{}\n" * before + b"x" * size + b"\n" + b"{}\n"
    found = list(chunks(BytesIO(content), 0, len(content), chunk_bytes=chunk, longest=20))
    assert [part.data for part in found if part.oversized] in ([b""], [])
    assert sum(part.data.count(b"\n") + part.oversized for part in found) == before + 2
    assert found[-1].end == len(content)


def test_a_line_that_is_too_long_and_torn_waits():
    assert list(chunks(BytesIO(b"x" * 100), 0, 100, chunk_bytes=10, longest=20)) == []


@given(st.binary(max_size=100), st.integers(0, 100))
def test_a_checksum_can_be_continued(data, cut):
    cut = min(cut, len(data))
    assert checksum_of(BytesIO(data), cut, len(data), checksum(data[:cut])) == checksum(data)


def test_fingerprints_tell_beginnings_from_ends():
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")


def test_files_have_the_same_number_everywhere():
    assert file_id("alice/s.jsonl") == file_id("alice/s.jsonl") != file_id("bob/s.jsonl")
    assert -(2**63) <= file_id("x") < 2**63


@pytest.mark.parametrize(
    ("path", "user", "session"),
    [
        ("alice/p/s.jsonl", "alice", "s"),
        ("s.jsonl", "", "s"),
        ("alice/p/s/subagents/agent-1.jsonl", "alice", "s"),
        ("alice/agent-1.jsonl", "alice", "agent-1"),
    ],
)
def test_a_path_says_whose_session_it_is(path, user, session):
    assert (username(path), session_of(path)) == (user, session)


def test_positions_travel_as_short_arrays():
    assert msgspec.json.encode(Position("p")) == b'["p",0,0,0,0,"",0,0,0]'
