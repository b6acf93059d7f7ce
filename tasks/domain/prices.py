"""What tokens cost: a price table that the user supplies, since prices shipped with a program go stale."""

import tomllib
from fnmatch import fnmatchcase

import msgspec

from tasks.errors import ConfigurationError

MILLION = 1_000_000
FREE_MODELS = frozenset({"", "<synthetic>"})


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of one model, each for a million tokens."""

    input: float
    output: float
    cache_read: float
    cache_creation: float


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices by model; a name may hold `*`. The first name in the file that fits counts."""

    currency: str
    models: dict[str, Price]

    def of(self, model: str) -> Price | None:
        """Return the price of a model, None when the table does not know it."""
        exact = self.models.get(model)
        fitting = (price for pattern, price in self.models.items() if fnmatchcase(model, pattern))
        return exact or next(fitting, None)


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Messages and tokens by kind."""

    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0

    def __add__(self, other: "Used") -> "Used":
        """Return both together."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Used(**dict(zip(Used.__struct_fields__, map(sum, zip(mine, theirs, strict=True)), strict=True)))


def cost(used: Used, price: Price) -> float:
    """Return what tokens cost, in the currency of the table."""
    return (
        used.input_tokens * price.input
        + used.output_tokens * price.output
        + used.cache_read_tokens * price.cache_read
        + used.cache_creation_tokens * price.cache_creation
    ) / MILLION


def parse_prices(text: str, source: str) -> Prices:
    """Return the price table of a TOML text; ConfigurationError names the file and what is wrong."""
    try:
        prices = msgspec.convert(tomllib.loads(text), Prices)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"{source} is no price table: {error}") from error
    negative = [model for model, price in prices.models.items() if min(msgspec.structs.astuple(price)) < 0]
    if negative:
        raise ConfigurationError(f"{source} has negative prices: {', '.join(negative)}")
    return prices
