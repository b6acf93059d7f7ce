"""Usage as a table: by day, user, model or tool, with its cost where prices are known."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum

import msgspec

from tasks.domain.prices import FREE_MODELS, Prices, Used, cost
from tasks.session_ports import Warehouse

TOKENS = "select * from usage_tokens_since($since)"
TOOLS = "select * from usage_tools_since($since)"


class Grouping(StrEnum):
    """What one line of the table stands for."""

    DAY = "day"
    USER = "user"
    MODEL = "model"
    TOOL = "tool"


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """A table; `unknown_models` have no price, so what they used is in no cost."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    currency: str | None = None
    unknown_models: tuple[str, ...] = ()


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What one user used of one model on one day; None for messages without a time."""

    day: date | None
    user: str
    model: str
    used: Used


def report(warehouse: Warehouse, by: Grouping, since: datetime | None, prices: Prices | None) -> UsageReport:
    """Return usage since an instant (None: ever); costs are left out without prices."""
    if by is Grouping.TOOL:
        columns, rows = warehouse.query(TOOLS, {"since": since})
        return UsageReport(columns=tuple(columns), rows=tuple(rows))
    _, rows = warehouse.query(TOKENS, {"since": since})
    tokens = [_tokens(row) for row in rows]
    return table(tokens, by, prices)


def table(tokens: Sequence[Tokens], by: Grouping, prices: Prices | None) -> UsageReport:
    """Return the tokens grouped, with their cost."""
    groups: dict[object, list[Tokens]] = {}
    for each in tokens:
        groups.setdefault(getattr(each, by.value), []).append(each)
    costs = ("cost",) if prices else ()
    return UsageReport(
        columns=(by.value, *Used.__struct_fields__, *costs),
        rows=tuple(_row(group, members, prices) for group, members in sorted(groups.items(), key=_order)),
        currency=prices.currency if prices else None,
        unknown_models=tuple(sorted({each.model for each in tokens if _unknown(each.model, prices)})),
    )


def _row(group: object, members: Sequence[Tokens], prices: Prices | None) -> tuple[object, ...]:
    used = sum((each.used for each in members), start=Used())
    costs = (_cost(members, prices),) if prices else ()
    return (group, *msgspec.structs.astuple(used), *costs)


def _cost(members: Iterable[Tokens], prices: Prices) -> float | None:
    """Return the cost of what has a price, None when nothing has."""
    known = [cost(each.used, price) for each in members if (price := prices.of(each.model))]
    return sum(known) if known else None


def _order(group: tuple[object, Sequence[Tokens]]) -> str:
    return str(group[0] or "")


def _unknown(model: str, prices: Prices | None) -> bool:
    return prices is not None and model not in FREE_MODELS and prices.of(model) is None


def _tokens(row: Sequence[object]) -> Tokens:
    day, user, model, *figures = row
    used = msgspec.convert(dict(zip(Used.__struct_fields__, figures, strict=True)), Used)
    return msgspec.convert({"day": day, "user": user, "model": model, "used": used}, Tokens)
