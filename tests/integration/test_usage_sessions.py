"""What the usage views say, however the lines are spread over files and reads."""

from dataclasses import asdict
from datetime import UTC, datetime
from random import Random

import msgspec
import pytest

from tests.integration.pipeline_bench import Bench
from workers.demo.sessions import Script


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def line(kind="user", at="2026-01-05T10:00:00Z", session="s", **more):
    return msgspec.json.encode({"type": kind, "timestamp": at, "sessionId": session, **more}) + b"\n"


def called(identity="t1", name="Bash", **more):
    block = {"type": "tool_use", "id": identity, "name": name, "input": more.pop("input", {})}
    return line("assistant", message={"id": f"m-{identity}", "content": [block]}, **more)


def answered(identity="t1", *, is_error=False, **more):
    block = {"type": "tool_result", "tool_use_id": identity, "is_error": is_error, "content": "x"}
    return line("user", message={"content": [block]}, **more)


def said(text, **more):
    return line("user", message={"content": text}, **more)


def test_a_resumed_session_counts_its_copied_messages_once_whichever_file_is_read_first(tmp_path):
    old, new = Script(seed=1, session_id="a-old"), Script(seed=2, session_id="z-new")
    first, more = old.turns(5), new.turns(5)
    copied = [part.replace(b'"a-old"', b'"z-new"') for part in first]
    found = []
    for order in (("old", "new"), ("new", "old")):
        bench = Bench(fresh(tmp_path, order[0]))
        files = {"old": ("u/a-old.jsonl", first), "new": ("u/z-new.jsonl", [*copied, *more])}
        for name in order:
            bench.write(files[name][0], *files[name][1])
            bench.ingest()
        found.append(bench.sessions())
    assert found[0] == found[1]
    assert asdict(old.figures).items() <= found[0]["u", "a-old"].items()
    assert asdict(new.figures).items() <= found[0]["u", "z-new"].items()


def fresh(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_copy_in_a_file_with_another_name_stays_with_the_session_it_speaks_of(bench):
    writer = Script(seed=1, session_id="s")
    lines = writer.turns(3)
    bench.write("bob/copy.jsonl", *lines)
    bench.ingest()
    bench.write("zoe/s.jsonl", *lines)
    bench.ingest()
    assert asdict(writer.figures).items() <= bench.sessions()["zoe", "s"].items()
    assert bench.sessions()["bob", "s"]["messages"] == 0


def test_a_sub_agent_of_a_foreign_session_does_not_change_that_session(bench):
    alice, agent = Script(seed=1, session_id="s"), Script(seed=2, session_id="s", agent="a1")
    bench.write("alice/s.jsonl", *alice.turns(4))
    bench.ingest()
    before = bench.sessions()["alice", "s"]
    bench.write("bob/agent-a1.jsonl", *agent.turns(4))
    bench.ingest()
    assert bench.sessions()["alice", "s"] == before
    assert bench.sessions()["bob", "s"]["messages"] == agent.figures.messages


def test_sub_agents_count_for_their_parent_session(bench):
    parent, agent = Script(seed=1, session_id="s"), Script(seed=2, session_id="s", agent="a1")
    bench.write("alice/p/s.jsonl", *parent.turns(4))
    bench.write("alice/p/s/subagents/agent-a1.jsonl", *agent.turns(4))
    bench.ingest()
    (session,) = bench.sessions().values()
    assert session["messages"] == parent.figures.messages + agent.figures.messages
    assert session["user_messages"] == parent.figures.user_messages


def test_lines_without_a_session_id_belong_to_the_session_of_their_path(bench):
    nameless = b'{"type":"user","timestamp":"2026-01-05T10:00:00Z","message":{"content":"hi"}}\n'
    bench.write("alice/p/s.jsonl", nameless)
    bench.write("alice/p/t/subagents/agent-1.jsonl", nameless)
    bench.write("root.jsonl", nameless)
    bench.ingest()
    assert set(bench.sessions()) == {("alice", "s"), ("alice", "t"), ("", "root")}


def test_an_error_that_arrives_in_a_later_read_is_recorded(bench):
    bench.write("u/s.jsonl", called())
    bench.ingest()
    assert bench.rows("select is_error, duration_s from usage_tools") == [(None, None)]
    bench.append("u/s.jsonl", answered(is_error=True, at="2026-01-05T10:00:02.5Z"))
    bench.ingest()
    assert bench.rows("select is_error, duration_s from usage_tools") == [(True, 2.5)]
    assert bench.sessions()["u", "s"]["tool_errors"] == 1


def test_a_result_may_come_before_its_call_and_in_another_file(bench):
    bench.write("u/other.jsonl", answered("t9", is_error=True, session="other"))
    bench.ingest()
    bench.write("u/s.jsonl", called("t9"))
    bench.ingest()
    assert bench.sessions()["u", "s"]["tool_errors"] == 1


def test_results_of_old_clients_stand_on_the_line_itself(bench):
    old = line("tool_use_result", tool_use_id="t1", is_error=True)
    bench.write("u/s.jsonl", called(), old)
    bench.ingest()
    assert bench.sessions()["u", "s"]["tool_errors"] == 1


def test_a_message_split_over_lines_and_reads_counts_once_with_its_last_figures(bench):
    def part(tokens, request="r"):
        return line("assistant", requestId=request, message={"id": "m", "usage": {"output_tokens": tokens}})

    bench.write("u/s.jsonl", part(9), part(3))
    bench.ingest()
    bench.append("u/s.jsonl", part(5))
    bench.ingest()
    bench.append("u/s.jsonl", part(100, "another request"))
    bench.ingest()
    session = bench.sessions()["u", "s"]
    assert (session["messages"], session["output_tokens"]) == (2, 105)


def test_calls_are_told_apart_by_what_they_call(bench):
    bench.write(
        "u/s.jsonl",
        called("1", "mcp__git_hub__create__issue"),
        called("2", "Task", input={"subagent_type": "Explore"}),
        called("3", "Agent", input={}),
        called("4", "Skill", input={"skill": "pdf"}),
        called("5", "Skill", input={"name": "xlsx"}),
        called("6", "Skill", input="odd"),
        called("7", "Read"),
    )
    bench.ingest()
    rows = bench.rows("select name, mcp_server, mcp_tool, subagent, skill from usage_tools order by tool_use_id")
    assert rows == [
        ("mcp__git_hub__create__issue", "git_hub", "create__issue", None, None),
        ("Task", None, None, "Explore", None),
        ("Agent", None, None, "", None),
        ("Skill", None, None, None, "pdf"),
        ("Skill", None, None, None, "xlsx"),
        ("Skill", None, None, None, ""),
        ("Read", None, None, None, None),
    ]
    session = bench.sessions()["u", "s"]
    assert (session["tool_calls"], session["mcp_calls"], session["subagents"], session["skills"]) == (7, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("<command-name>/compact</command-name>", ["compact"]),
        ("before <command-name>/a:b-c</command-name> and <command-name>/x_1</command-name>", ["a:b-c", "x_1"]),
        ("<command-name>compact</command-name>", []),
        ("<command-name>/1st</command-name>", []),
        ("<command-name>/a b</command-name>", []),
        ([{"type": "text", "text": "<command-name>/init</command-name>"}], ["init"]),
        ([{"type": "tool_result", "tool_use_id": "t", "content": "<command-name>/init</command-name>"}], []),
    ],
)
def test_slash_commands_are_found_anywhere_in_what_the_person_said(bench, text, names):
    bench.write("u/s.jsonl", said(text))
    bench.ingest()
    assert [row[0] for row in bench.rows("select name from usage_commands_once order by command_id")] == names


def test_only_a_persons_own_words_are_messages_of_the_person(bench):
    bench.write(
        "u/s.jsonl",
        said("hello", uuid="1"),
        said("hello", uuid="1"),
        said([{"type": "text", "text": "look"}], uuid="2"),
        said("caveat", uuid="3", isMeta=True),
        said("so far", uuid="4", isCompactSummary=True),
        said("warm up", uuid="5", isSidechain=True),
        said("<local-command-stdout>done</local-command-stdout>", uuid="6"),
        answered(),
    )
    bench.ingest()
    assert bench.sessions()["u", "s"]["user_messages"] == 2


def test_flat_messages_of_other_clients_count_too(bench):
    bench.write(
        "u/s.jsonl",
        b'{"role":"user","content":"hello"}\n',
        b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"Bash","input":{}}]}\n',
    )
    bench.ingest()
    session = bench.sessions()["u", "s"]
    assert (session["messages"], session["user_messages"], session["tool_calls"]) == (1, 1, 1)


def test_active_time_leaves_out_long_gaps_whatever_the_order_and_the_reads(bench):
    minutes = [0, 5, 30, 31, 15, 60]
    lines = [line("system", at=f"2026-01-05T{10 + m // 60}:{m % 60:02}:00Z", cwd=f"/{m}") for m in minutes]
    bench.write("u/s.jsonl", *lines[:3])
    bench.ingest()
    bench.append("u/s.jsonl", *lines[3:])
    bench.ingest()
    session = bench.sessions()["u", "s"]
    assert (session["wall_s"], session["active_s"]) == (3600, (15 + 1) * 60)
    assert session["cwd"] == "/60"
    assert (session["started_at"], session["ended_at"]) == (
        datetime(2026, 1, 5, 10, tzinfo=UTC),
        datetime(2026, 1, 5, 11, tzinfo=UTC),
    )


@pytest.mark.parametrize("seed", range(2))
def test_the_views_do_not_depend_on_how_reads_cut_the_files(tmp_path, seed):
    random = Random(seed)
    scripts = [Script(seed=10 * seed + n, session_id=f"s{n}", text_bytes=20) for n in range(3)]
    files = {f"u{n}/s{n}.jsonl": b"".join(script.turns(6)) for n, script in enumerate(scripts)}
    files["u0/resumed.jsonl"] = files["u0/s0.jsonl"].replace(b'"s0"', b'"resumed"')
    at_once, in_pieces = Bench(fresh(tmp_path, "once")), Bench(fresh(tmp_path, "pieces"))
    for path, content in files.items():
        at_once.write(path, content)
    at_once.ingest()
    left = dict(files)
    while left:
        for path in random.sample(sorted(left), random.randint(1, len(left))):
            size = random.randint(1, 40_000)
            (in_pieces.root / path).parent.mkdir(exist_ok=True)
            in_pieces.append(path, left[path][:size])
            left[path] = left[path][size:]
            if not left[path]:
                del left[path]
        in_pieces.ingest()
    for view in at_once.processors["usage"].compared:
        assert in_pieces.rows(f"select * from {view} order by all") == at_once.rows(
            f"select * from {view} order by all"
        )
