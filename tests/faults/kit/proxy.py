"""A TCP proxy in front of Redis that drops connections, delays, or loses exactly one reply."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

CHUNK = 65536


class Loss(StrEnum):
    """What happens to one request: it never arrives, its reply never comes, or that reply breaks the connection."""

    CUT_REQUEST = "cut-request"
    CUT_REPLY = "cut-reply"
    SWALLOW_REPLY = "swallow-reply"


@dataclass(kw_only=True)
class Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loses: Loss | None = None

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass(kw_only=True)
class Proxy:
    """Forwards `port` to `upstream`, both on 127.0.0.1; its methods may be called from any thread."""

    upstream: int
    port: int = 0
    delay: float = 0.0
    refusing: bool = False
    hits: list[tuple[bytes, Loss]] = field(default_factory=list)
    _losses: list[tuple[bytes, Loss]] = field(default_factory=list)
    _open: dict[int, Pair] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def lose(self, pattern: bytes, loss: Loss) -> None:
        """Do this, once, to the next request that contains `pattern`."""
        self._losses.append((pattern, loss))

    def forget(self) -> None:
        self._losses.clear()
        self.delay, self.refusing = 0.0, False

    def drop_all(self) -> None:
        """Reset every connection."""
        self._loop.call_soon_threadsafe(lambda: [pair.abort() for pair in list(self._open.values())])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refusing:
                raise ConnectionRefusedError
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = self._open[id(writer)] = Pair(client=writer, server=to_server)
        try:
            await asyncio.gather(self._requests(reader, pair), self._replies(from_server, pair))
        except (OSError, EOFError):
            pass
        finally:
            pair.abort()
            self._open.pop(id(writer), None)

    async def _requests(self, reader: asyncio.StreamReader, pair: Pair) -> None:
        while data := await reader.read(CHUNK):
            await asyncio.sleep(self.delay)
            loss = self._loss_for(data)
            if loss is Loss.CUT_REQUEST:
                break
            pair.loses = loss or pair.loses
            pair.server.write(data)
            await pair.server.drain()
        raise EOFError

    async def _replies(self, reader: asyncio.StreamReader, pair: Pair) -> None:
        while data := await reader.read(CHUNK):
            loss, pair.loses = pair.loses, None
            if loss is Loss.CUT_REPLY:
                break
            if loss is not Loss.SWALLOW_REPLY:
                pair.client.write(data)
                await pair.client.drain()
        raise EOFError

    def _loss_for(self, data: bytes) -> Loss | None:
        for each in self._losses:
            if each[0] in data:
                self._losses.remove(each)
                self.hits.append(each)
                return each[1]
        return None

    async def _listen(self, started: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()

    def run(self, started: threading.Event) -> None:
        self._loop.run_until_complete(self._listen(started))
        self._loop.run_forever()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def proxy_to(upstream: int) -> Iterator[Proxy]:
    """Run a proxy in a thread for the length of a `with` block."""
    proxy, started = Proxy(upstream=upstream), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(started,), daemon=True)
    thread.start()
    started.wait(5)
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(5)
