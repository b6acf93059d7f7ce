"""No secret in a text, wherever it stands and wherever the text is cut."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.redaction import Redaction

TOKEN = "s3cret/Token+value=="
REDACTION = Redaction(secrets={"token": TOKEN, "MY_KEY": "s3cret"})


def test_every_occurrence_is_replaced_by_its_name():
    assert REDACTION.clean(f"a {TOKEN} b s3cret c {TOKEN}") == "a [token] b [MY_KEY] c [token]"


def test_a_percent_encoded_secret_and_one_in_json_are_secrets():
    text = 'token=s3cret%2FToken%2Bvalue%3D%3D and "s3cret\\/Token+value=="'
    assert REDACTION.clean(text) == 'token=[token] and "[token]"'


def test_the_beginning_of_a_secret_at_the_end_goes_only_when_the_text_was_cut():
    assert REDACTION.clean("wrong: s3cr", cut=True) == "wrong: "
    assert REDACTION.clean("words", cut=False) == "words"


def test_without_secrets_nothing_changes():
    assert Redaction(secrets={"token": ""}).clean("text", cut=True) == "text"
    assert Redaction().longest == 0


def test_secrets_are_in_no_representation():
    assert "s3cret" not in repr(REDACTION)


@given(before=st.text("ab [", max_size=300), copies=st.integers(1, 12), cut=st.integers(0, 500))
def test_no_cut_leaves_a_part_of_a_secret(before, copies, cut):
    text = (before + TOKEN * copies)[:cut]
    assert "s3" not in REDACTION.clean(text, cut=True)
