"""The remote service over HTTP: what is armed there, one callback more, one less; docs/triggers.md has its language."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from tasks.domain.slots import parse_slot, slot_text
from tasks.errors import EscapementError
from workers.triggers.arming import Callback, Changes
from workers.triggers.base import RemoteService

ROUTE: Final = "/escapement/trigger"
SECONDS: Final = 10
AT_ONCE: Final = 16
FIRST_SERVER_STATUS: Final = 500


class RemoteServiceError(EscapementError):
    """The remote service did not do what it was asked; the message holds no address and no key."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    job: str
    slot: str
    url: str


class _Listing(msgspec.Struct, frozen=True, kw_only=True):
    callbacks: list[_Entry]


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackService:
    """One session with the service; every method raises RemoteServiceError."""

    remote: RemoteService
    client: httpx.AsyncClient

    async def armed(self) -> frozenset[Callback]:
        """List what is armed for our callback address; the callbacks of others are not ours to see to."""
        answer = await self._ask("GET", "/callbacks")
        try:
            listing = msgspec.json.decode(answer.content, type=_Listing)
        except msgspec.DecodeError as error:
            raise RemoteServiceError(f"its list can't be read: {error}") from None
        return frozenset(self._ours(listing.callbacks))

    async def bring_in_line(self, changes: Changes) -> None:
        """Provision soonest first, then cancel.

        What the service refuses singly keeps no other from being done; a service that is away is not asked on.
        """
        refusals = [
            *await self._each(changes.provision, self._provision),
            *await self._each(changes.cancel, self._cancel),
        ]
        if refusals:
            raise RemoteServiceError(f"{len(refusals)} callbacks were refused, the first with {refusals[0]}")

    def address(self, callback: Callback) -> str:
        """Return the address that the service calls back."""
        base = self.remote.callback_url.rstrip("/")
        return f"{base}{ROUTE}/{quote(callback.job, safe='')}/{quote(slot_text(callback.slot), safe='')}"

    def _ours(self, entries: Sequence[_Entry]) -> Iterator[Callback]:
        for entry in entries:
            try:
                callback = Callback(job=entry.job, slot=parse_slot(entry.slot))
            except ValueError:
                continue
            if entry.url == self.address(callback):
                yield callback

    async def _each(self, callbacks: Sequence[Callback], act: Callable[[Callback], Awaitable[str | None]]) -> list[str]:
        refusals: list[str] = []
        for first in range(0, len(callbacks), AT_ONCE):
            refusals += filter(None, await asyncio.gather(*map(act, callbacks[first : first + AT_ONCE])))
        return refusals

    async def _provision(self, callback: Callback) -> str | None:
        body = {"job": callback.job, "slot": slot_text(callback.slot), "url": self.address(callback)}
        answer = await self._ask("PUT", _path(callback), content=msgspec.json.encode(body), accept=range(400, 500))
        return None if answer.is_success else f"HTTP {answer.status_code}"

    async def _cancel(self, callback: Callback) -> str | None:
        answer = await self._ask("DELETE", _path(callback), accept=range(400, 500))
        gone = answer.is_success or answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}
        return None if gone else f"HTTP {answer.status_code}"

    async def _ask(
        self, method: str, path: str, *, content: bytes | None = None, accept: Sequence[int] = ()
    ) -> httpx.Response:
        headers = {"User-Agent": "escapement", "Content-Type": "application/json"}
        if self.remote.api_key is not None:
            headers["Authorization"] = f"Bearer {self.remote.api_key}"
        try:
            async with asyncio.timeout(SECONDS):
                url = self.remote.url.rstrip("/") + path
                answer = await self.client.request(method, url, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise RemoteServiceError(f"it can't be reached: {type(error).__name__}") from None
        if not answer.is_success and answer.status_code not in accept:
            raise RemoteServiceError(f"it answers HTTP {answer.status_code}")
        return answer


def _path(callback: Callback) -> str:
    return f"/callbacks/{quote(f'{callback.job}:{slot_text(callback.slot)}', safe='')}"
