"""The external provider: a remote service calls back when a slot is due, instead of beat watching the clock."""

import asyncio
from datetime import timedelta
from typing import ClassVar

import httpx

from workers.triggers.arming import changes
from workers.triggers.base import TriggerProvider
from workers.triggers.remote import SECONDS, CallbackService


class ExternalTrigger(TriggerProvider):
    """Keeps the callbacks of the next hour armed; beat sweeps what was not called within five seconds.

    What is armed stays armed when beat ends: the callbacks reach Flower, and it sends the slots. A callback that was
    not wanted any more finds that its slot is gone.
    """

    name: ClassVar[str] = "external"
    hold: ClassVar[timedelta] = timedelta(seconds=5)

    def start(self) -> None:
        """Do nothing: the first `reconcile` arms what is due next."""

    def is_available(self) -> bool:
        return not self.desk.remote.problem

    def reconcile(self) -> None:
        """Arm and cancel until the service has what the jobs want; raises RemoteServiceError."""
        asyncio.run(self._reconcile())

    async def _reconcile(self) -> None:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            service = CallbackService(remote=self.desk.remote, client=client)
            armed = await service.armed()
            wanted = changes(self.desk.jobs(), armed, self.desk.now(), hold=self.hold)
            await service.bring_in_line(wanted)
