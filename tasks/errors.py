"""The error tree: each class is one sentence, `EscapementError` is the root."""


class EscapementError(Exception):
    """Something in Escapement went wrong; the message says what."""


class ConfigurationError(EscapementError):
    """The configuration can't be used; the message names every variable, its value and what is accepted."""


class UnknownJobError(EscapementError):
    """No job or processor has this name; the message lists those that exist."""


class LeaseLostError(EscapementError):
    """The lease of a run is gone: its work must stop and its result is refused."""


class RunCancelledError(EscapementError):
    """Somebody asked for this run to stop."""


class WarehouseBusyError(EscapementError):
    """The warehouse file stayed locked by another process for longer than the caller would wait."""


class RedisUnavailableError(EscapementError):
    """Redis can't be reached, or no redis-server can be started."""


class ProcessorError(EscapementError):
    """A session processor broke its contract on one file; the message names processor and file."""


class FencedError(EscapementError):
    """The warehouse refused a commit: its fencing token is older than one already seen, or a cursor has moved."""
