"""What decides *when*: the contract of a trigger provider."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from tasks.domain.jobs import Job

Fire = Callable[[str, datetime | None], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteService:
    """The service that the external trigger arms callbacks at; `problem` says why it can't be used, if so."""

    url: str = ""
    callback_url: str = ""
    api_key: str | None = field(default=None, repr=False)
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What beat hands to its provider.

    `jobs` gives the active jobs by name, `fire` marks a slot as dispatched and sends it, and is true only for the one
    caller, of all processes, that did. It raises RedisUnavailableError, then nothing was sent.
    """

    jobs: Callable[[], Mapping[str, Job]]
    fire: Fire
    now: Callable[[], datetime]
    remote: RemoteService = RemoteService()


class TriggerProvider(ABC):
    """Makes slots fire when they are due; one lives in each beat.

    Beat itself sweeps: it fires every slot that nobody has fired `hold` after it was due. So a provider that fails
    makes slots late by that much, and loses none.
    """

    name: ClassVar[str]
    hold: ClassVar[timedelta] = timedelta(0)

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @abstractmethod
    def start(self) -> None:
        """Begin; called once, from beat's loop, so that it must not block."""

    def stop(self) -> None:  # noqa: B027 - a default that does nothing
        """End; called once, when beat ends, for a provider that was started."""

    def is_available(self) -> bool:
        """Say whether it can work here; asked before `start`, and never by way of the network."""
        return True

    def on_jobs_changed(self) -> None:  # noqa: B027 - a default that does nothing
        """Learn that `desk.jobs()` gives other jobs now; called from beat's loop, so that it must not block."""

    def fire_due(self, job: str, slot: datetime | None = None) -> bool:
        """Fire a job's slot, without one its newest that is due; true only for the caller that got the slot."""
        return self.desk.fire(job, slot)

    def reconcile(self) -> None:  # noqa: B027 - a default that does nothing
        """Bring what is armed elsewhere in line with what is due; may block, and may be repeated at any time."""
