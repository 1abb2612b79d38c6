"""The loop around the runner: look who has something to read, let each consumer work at its own pace, sleep."""

import asyncio
from contextlib import suppress

import structlog

from carillon.kernel.waiting import first_of
from carillon.storage.errors import DatabaseUnreachable

from .progress import Pending, Progress
from .runner import Runner

_log = structlog.get_logger(__name__)

# Events behind the horizon become readable without a further notification.
_HELD_WAIT = 0.05
_LOST_WAIT = 1.0
# Under load every commit wakes us. A look costs a transaction for each consumer, whether it has anything to read or
# not: what gathers meanwhile is one batch instead of many.
_BREATH = 0.05
_GRACE = 10.0


class Service:
    """Runs a runner's consumers side by side until told to stop."""

    def __init__(self, runner: Runner, progress: Progress, *, poll: float = 1.0) -> None:
        """Create the service; `poll` is how often to look without being woken, in seconds."""
        self.wake = asyncio.Event()
        self._runner = runner
        self._progress = progress
        self._poll = poll
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; batches under way get 10 s to finish, then are cancelled and rolled back."""
        stopping = asyncio.create_task(self._wake_at(stop))
        loop = asyncio.get_running_loop()
        try:
            prepared = False
            looked_at = 0.0
            while not stop.is_set():
                await first_of(stop.wait(), asyncio.sleep(looked_at + _BREATH - loop.time()))
                looked_at = loop.time()
                self.wake.clear()
                try:
                    if not prepared:
                        await self._progress.ensure(list(self._runner.consumers.values()))
                        prepared = True
                    wait = self._start_ready(await self._pending(), stop)
                except DatabaseUnreachable as error:
                    _log.warning("consumers wait for the database", error=str(error))
                    wait = _LOST_WAIT
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), wait)
        finally:
            stopping.cancel()
            await self._finish()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.wake.set()

    async def _pending(self) -> Pending:
        idle = [name for name in self._runner.consumers if name not in self._busy]
        return await self._progress.pending(idle) if idle else Pending(frozenset(), held=False)

    def _start_ready(self, pending: Pending, stop: asyncio.Event) -> float:
        for name in pending.ready:
            task = asyncio.create_task(self._work(name, stop), name=f"consumer {name}")
            self._busy[name] = task
            task.add_done_callback(lambda _, name=name: self._done(name))  # type: ignore[misc] # mypy and defaults
        return _HELD_WAIT if pending.held else self._poll

    def _done(self, name: str) -> None:
        self._busy.pop(name, None)
        self.wake.set()

    async def _work(self, name: str, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set() and await self._runner.step(name):
                pass
        except DatabaseUnreachable as error:
            _log.warning("consumer waits for the database", consumer=name, error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOST_WAIT)
        except Exception:  # noqa: BLE001 - a fault of the runner itself must not end the other consumers
            _log.exception("consumer stopped and will be started again", consumer=name)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOST_WAIT)

    async def _finish(self) -> None:
        tasks = list(self._busy.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_GRACE)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
