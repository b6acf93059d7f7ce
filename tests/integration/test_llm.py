import logging

import pytest

from tasks.adapters.llm import HttpLanguageModel
from tasks.domain.verification import AnswerError, findings_of
from tasks.domain.verification_questions import Style, verification_question
from tasks.domain.verification_turns import Role, Turn
from tasks.verification_ports import Answer, Unanswered
from tests.conftest import unused_port
from tests.model_server import model_server

KEY = "sk-very-secret-0123456789"
TURNS = (Turn(role=Role.USER, text="No: correction in finance: The year starts in April.", line=3),)
QUESTION = verification_question(TURNS)


@pytest.fixture(scope="module")
def endpoint():
    with model_server(unused_port()) as server:
        yield server


@pytest.fixture(params=list(Style))
def style(request):
    return request.param


@pytest.fixture
def ask(endpoint, style):
    """Ask the endpoint, which behaves as told."""

    def asked(*modes, **changes):
        endpoint.behave(*modes)
        options = {"key": KEY, "seconds": 5, "first_wait_s": 0.01} | changes
        return HttpLanguageModel(url=endpoint.urls[style], name="m-1", style=style, **options).ask(QUESTION)

    return asked


def test_a_question_is_answered_in_the_form_asked_for(ask):
    reply = ask("answer")
    assert isinstance(reply, Answer)
    assert (reply.input_tokens, reply.output_tokens) == (10, 2)
    (item,) = findings_of(reply.body, TURNS).items
    assert (item.content, item.domain, item.line) == ("The year starts in April.", "finance", 3)


def test_the_schema_is_enforced_and_the_key_is_a_header_alone(ask, endpoint, style):
    ask("answer")
    (request,) = endpoint.requests()
    headers, body = request["headers"], request["body"]
    assert body["model"] == "m-1"
    assert KEY not in str(body)
    if style is Style.OPENAI:
        form = body["response_format"]
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
        assert form["json_schema"]["schema"] == QUESTION.schema
        assert headers["authorization"] == f"Bearer {KEY}"
    else:
        assert body["tool_choice"] == {"type": "tool", "name": "verifications"}
        assert body["tools"][0]["input_schema"] == QUESTION.schema
        assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")


def test_without_a_key_none_is_sent(ask, endpoint):
    ask("answer", key=None)
    (request,) = endpoint.requests()
    assert not {"authorization", "x-api-key"} & set(request["headers"])


@pytest.mark.parametrize("mode", ["status:500", "status:503", "status:529", "status:408", "status:429/0", "reset"])
def test_what_is_transient_is_tried_again(ask, endpoint, mode):
    assert isinstance(ask(mode, mode, "answer"), Answer)
    assert len(endpoint.requests()) == 3


@pytest.mark.parametrize("mode", ["status:500", "reset"])
def test_tries_are_bounded_and_end_in_an_outage(ask, endpoint, mode):
    reply = ask(mode)
    assert isinstance(reply, Unanswered)
    assert reply.outage
    assert len(endpoint.requests()) == 3


@pytest.mark.parametrize("mode", ["status:401", "status:403", "status:404", "status:302", "status:429/3600"])
def test_what_another_try_can_not_change_is_an_outage_at_once(ask, endpoint, mode):
    reply = ask(mode)
    assert (reply.outage, len(endpoint.requests())) == (True, 1)
    assert mode[7:10] in reply.problem


@pytest.mark.parametrize("mode", ["status:400", "status:413", "status:422"])
def test_a_question_that_is_refused_for_what_it_is_is_no_outage(ask, endpoint, mode):
    assert (ask(mode).outage, len(endpoint.requests())) == (False, 1)


def test_a_retry_after_is_kept_to_instead_of_our_own_wait(ask, endpoint):
    assert isinstance(ask("status:429/0", "answer", first_wait_s=60, longest_wait_s=60), Answer)
    assert len(endpoint.requests()) == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("mode", ["hang:60", "drip:60"])
def test_an_endpoint_that_takes_too_long_is_left_after_one_try(ask, endpoint, mode):
    reply = ask(mode, seconds=0.5)
    assert (reply.outage, len(endpoint.requests())) == (True, 1)
    assert "no answer within 0.5 s" in reply.problem


def test_an_endpoint_that_nobody_listens_at_is_an_outage(style):
    url = f"http://127.0.0.1:{unused_port()}/v1"
    reply = HttpLanguageModel(url=url, name="m", style=style, first_wait_s=0.01).ask(QUESTION)
    assert reply.outage
    assert "ConnectError" in reply.problem


def test_a_huge_reply_is_not_read_to_its_end(ask):
    reply = ask("huge:200000000")
    assert (reply.outage, reply.problem) == (False, "the reply is longer than 1048576 bytes")


@pytest.mark.parametrize(
    "mode",
    [
        "raw:",
        "raw:no JSON",
        "raw:[]",
        "raw:{}",
        'raw:{"choices": [], "content": []}',
        "finish:length",
        "finish:max_tokens",
    ],
)
def test_a_reply_without_a_whole_answer_is_no_answer_and_no_outage(ask, mode):
    reply = ask(mode)
    assert isinstance(reply, Unanswered)
    assert not reply.outage


def test_a_refusal_is_no_answer(endpoint):
    endpoint.behave("refuse")
    reply = HttpLanguageModel(url=endpoint.urls["openai"], name="m", style=Style.OPENAI).ask(QUESTION)
    assert (reply.outage, reply.problem) == (False, "the model refused: I would rather not.")


@pytest.mark.parametrize("said", ["{}", "[]", '{"verifications": [{"kind": "correction"}]}'])
def test_an_answer_that_breaks_the_schema_is_an_error_of_its_session(ask, said):
    with pytest.raises(AnswerError):
        findings_of(ask(f"say:{said}").body, TURNS)


@pytest.mark.parametrize("mode", ["status:401", "status:500", "status:400"])
def test_the_key_stays_out_of_errors_and_logs_when_the_endpoint_echoes_it(ask, mode, caplog):
    caplog.set_level(logging.DEBUG)
    reply = ask(mode)
    assert KEY not in reply.problem
    assert len(reply.problem.encode()) <= 200
    assert KEY not in caplog.text
    assert not any(KEY in repr(record.__dict__) for record in caplog.records)
