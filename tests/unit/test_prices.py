from datetime import date

import pytest

from tasks.domain.prices import Price, Prices, Used, cost, parse_prices
from tasks.errors import ConfigurationError
from tasks.usage_report import Grouping, Tokens, table

ONE = Price(input=1, output=10, cache_read=0.5, cache_creation=2)
PRICES = Prices(currency="EUR", models={"exact-1": ONE, "family-*": ONE})
TEXT = """
currency = "EUR"
[models."family-*"]
input = 1
output = 10
cache_read = 0.5
cache_creation = 2
"""


def tokens(model, user="u", day=1, **used):
    return Tokens(day=date(2026, 1, day), user=user, model=model, used=Used(messages=1, **used))


def test_a_price_table_is_read_from_toml():
    assert parse_prices(TEXT, "prices.toml") == Prices(currency="EUR", models={"family-*": ONE})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        TEXT.replace("10", '"ten"'),
        TEXT.replace("input = 1\n", ""),
        TEXT + "extra = 1",
        TEXT.replace("10", "-1"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_name(text):
    with pytest.raises(ConfigurationError, match=r"prices\.toml"):
        parse_prices(text, "prices.toml")


def test_each_kind_of_token_has_its_price_for_a_million():
    used = Used(input_tokens=10**6, output_tokens=10**6, cache_read_tokens=10**6, cache_creation_tokens=10**6)
    assert cost(used, ONE) == 13.5


@pytest.mark.parametrize(("model", "known"), [("exact-1", True), ("family-4-20260101", True), ("family", False)])
def test_a_model_is_found_by_its_name_or_a_pattern(model, known):
    assert (PRICES.of(model) is ONE) is known


def test_models_without_a_price_are_listed_and_never_guessed():
    found = table([tokens("family-1", output_tokens=10**6), tokens("other", output_tokens=5)], Grouping.USER, PRICES)
    assert found.rows == (("u", 2, 0, 10**6 + 5, 0, 0, 10.0),)
    assert found.unknown_models == ("other",)


def test_what_has_no_price_at_all_has_no_cost():
    found = table([tokens("other", output_tokens=5)], Grouping.MODEL, PRICES)
    assert found.rows[0][-1] is None


def test_answers_of_the_client_itself_are_no_unknown_model():
    assert table([tokens("<synthetic>")], Grouping.MODEL, PRICES).unknown_models == ()


def test_without_prices_there_is_no_cost():
    found = table([tokens("a"), tokens("b", day=2)], Grouping.DAY, None)
    assert found.columns[-1] == "cache_creation_tokens"
    assert [row[0] for row in found.rows] == [date(2026, 1, 1), date(2026, 1, 2)]
