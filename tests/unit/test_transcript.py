import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.salvage import salvage, valid_utf8
from tasks.domain.transcript import Block, Line, Message, complete_object, decode

ODD_LINES = [b"", b"  ", b"{}", b"{}{}", b"[1]", b"{", b"}", b'{"a":', b"1}", b'{"uuid":"u"}', b"{}\r"]
ODD_LINES += [b"\xff", b'{"uuid":"\xc3"}']


def slow(lines):
    """What each line is worth on its own."""
    bad = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            good = isinstance(json.loads(line.decode()), dict)
        except ValueError:
            good = False
        if not good:
            bad.append(number)
    return bad


@given(st.lists(st.sampled_from(ODD_LINES), min_size=1, max_size=8))
def test_lines_are_judged_one_by_one_whatever_stands_beside_them(lines):
    decoded = decode(b"".join(line + b"\n" for line in lines), first_line=1)
    assert len(decoded.lines) == len(lines)
    assert list(decoded.bad) == slow(lines)


def test_bad_lines_are_numbered_from_the_first_line_given():
    assert decode(b"{}\nbad\n", first_line=10).bad == [11]


def test_a_byte_order_mark_before_the_first_line_is_ignored():
    decoded = decode(b'\xef\xbb\xbf{"uuid":"u"}\n', first_line=1)
    assert (decoded.lines[0].uuid, decoded.bad) == ("u", [])


def test_an_instant_without_zone_is_utc():
    (line,) = decode(b'{"timestamp":"2026-01-02T03:04:05"}\n', first_line=1).lines
    assert line.timestamp.isoformat() == "2026-01-02T03:04:05+00:00"


def test_an_instant_that_can_not_be_read_is_none():
    (line,) = decode(b'{"timestamp":"yesterday","uuid":"u"}\n', first_line=1).lines
    assert (line.timestamp, line.uuid) == (None, "u")


def test_deep_nesting_is_a_bad_line_not_a_crash():
    deep = b'{"message":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"
    decoded = decode(deep + b"{}\n", first_line=1)
    assert len(decoded.lines) == 2


@given(st.binary(max_size=200))
def test_utf8_is_told_as_python_tells_it(data):
    try:
        data.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    assert valid_utf8(data) is expected


@given(
    st.dictionaries(
        st.sampled_from(["id", "model", "usage", "content"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "name"]), inner)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_object_can_be_salvaged(found):
    kept = salvage(json.dumps(found).encode(), Message, longest=1000)
    assert isinstance(kept, Message)
    if isinstance(found.get("id"), str):
        assert kept.id == found["id"]


def test_a_field_that_is_too_long_is_left_out_and_its_neighbours_stay():
    raw = msgspec.json.encode({"type": "text", "text": "x" * 100, "name": "n"})
    assert salvage(raw, Block, longest=50) == Block(type="text", name="n")


def test_blocks_inside_a_content_that_is_too_long_are_kept_one_by_one():
    content = [{"type": "text", "text": "x" * 100}, {"type": "tool_use", "name": "Bash"}]
    raw = msgspec.json.encode({"message": {"id": "m", "content": content}})
    line = salvage(raw, Line, longest=60)
    assert [(block.type, block.name) for block in line.message.content] == [("text", None), ("tool_use", "Bash")]


@pytest.mark.parametrize(
    ("tail", "whole"),
    [(b'{"a":1}', True), (b'{"a":1} ', True), (b'{"a":1', False), (b"3", False), (b"[1]", False), (b"{}{}", False)],
)
def test_a_last_line_is_whole_when_it_is_an_object(tail, whole):
    assert complete_object(tail) is whole
