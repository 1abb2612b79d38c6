"""Jobs are queued with their transaction, run at least once, tried again, put back at a stop and never lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import UUID

import asyncpg
import pytest
from pgqueuer.domain.errors import RetryRequested

from carillon.kernel.ids import uuid7
from carillon.kernel.paging import PageRequest
from carillon.storage import jobs
from carillon.storage.database import Database
from carillon.storage.jobs import FailedJobNotFound, Job, JobRunner, Pace, Timed
from carillon.storage.jobs.execution import Execution, Work
from carillon.storage.jobs.pgqueuer import PatientDriver
from carillon.storage.jobs.retention import BadJobCursor, prune
from carillon.storage.jobs.timetable import Timetable, next_time
from carillon.storage.resources import Resources

FAST = Pace(concurrency=4, heartbeat=1.0, poll=0.2, drain=0.2, first_wait=0.0)


@dataclass
class Bench:
    """Runs one kind of job of a name of its own."""

    resources: Resources
    tenant: UUID
    url: str
    name: str = field(default_factory=lambda: f"test.{uuid7()}")
    ran: list[Mapping[str, Any]] = field(default_factory=list)
    act: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None

    async def _run(self, resources: Resources, tenant_id: UUID, data: Mapping[str, Any]) -> None:
        assert tenant_id == self.tenant
        assert resources is self.resources
        self.ran.append(data)
        if self.act is not None:
            await self.act(data)

    def runner(self, *, timeout: float = 60.0, attempts: int = 3) -> JobRunner:
        job = Job(self.name, self._run, timeout=timeout, attempts=attempts)
        return JobRunner(self.resources, [job], [], self.url, pace=FAST)

    async def enqueue(self, **options: Any) -> int | None:
        async with self.resources.database.transaction(self.tenant) as tx:
            return await jobs.enqueue(tx, self.name, {"n": len(self.ran)}, **options)

    async def rows(self) -> list[dict[str, Any]]:
        async with self.resources.database.across_tenants() as tx:
            found = await tx.all(
                "SELECT status::text, attempts FROM queue.pgqueuer WHERE entrypoint = :name", {"name": self.name}
            )
        return [dict(row) for row in found]


@pytest.fixture
def bench(worker_resources: Resources, worker_database: Database, tenant: UUID) -> Bench:
    return Bench(worker_resources, tenant, worker_database.url)


@asynccontextmanager
async def running(*runners: JobRunner) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(runner.run(stop)) for runner in runners]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def until(holds: Callable[[], Awaitable[bool] | bool]) -> None:
    """Look again and again; the test's own timeout ends it when it never holds."""
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.01)


async def test_a_job_runs_with_its_tenant_and_payload_and_leaves_the_queue(bench: Bench) -> None:
    await bench.enqueue()
    async with running(bench.runner()):
        await until(lambda: len(bench.ran) == 1)
    assert bench.ran == [{"n": 0}]
    assert await bench.rows() == []


async def test_a_rolled_back_transaction_queues_nothing(bench: Bench) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with bench.resources.database.transaction(bench.tenant) as tx:
            await jobs.enqueue(tx, bench.name, {})
            raise RuntimeError
    assert await bench.rows() == []


async def test_the_api_may_enqueue_but_not_read_payloads(app_database: Database, bench: Bench) -> None:
    async with app_database.transaction(bench.tenant) as tx:
        assert await jobs.enqueue(tx, bench.name, {}) is not None
    with pytest.raises(Exception, match="permission denied"):
        async with app_database.transaction(bench.tenant) as tx:
            await tx.all("SELECT payload FROM queue.pgqueuer")


async def test_a_key_is_queued_once_per_tenant_without_spoiling_the_transaction(
    bench: Bench, other_tenant: UUID
) -> None:
    async with bench.resources.database.transaction(bench.tenant) as tx:
        assert await jobs.enqueue(tx, bench.name, {}, dedupe_key="k") is not None
        assert await jobs.enqueue(tx, bench.name, {}, dedupe_key="k") is None
        assert await jobs.enqueue(tx, bench.name, {}, dedupe_key="l") is not None
    async with bench.resources.database.transaction(other_tenant) as tx:
        assert await jobs.enqueue(tx, bench.name, {}, dedupe_key="k") is not None
    assert len(await bench.rows()) == 3


@pytest.mark.parametrize("later", [timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)])
async def test_a_job_for_later_waits(bench: Bench, later: timedelta | datetime) -> None:
    await bench.enqueue(execute_after=later)
    await bench.enqueue()
    async with running(bench.runner()):
        await until(lambda: len(bench.ran) == 1)
    assert await bench.rows() == [{"status": "queued", "attempts": 0}]


async def test_a_failing_job_is_tried_again(bench: Bench) -> None:
    async def fail_twice(_: Mapping[str, Any]) -> None:
        if len(bench.ran) < 3:
            raise ValueError("not yet")

    bench.act = fail_twice
    await bench.enqueue()
    async with running(bench.runner(attempts=3)):
        await until(lambda: len(bench.ran) == 3)
        await until(lambda: _gone(bench))
    assert len(bench.ran) == 3


async def test_a_job_that_never_works_stays_visible_to_its_tenant_and_can_be_queued_again(
    bench: Bench, app_database: Database, other_tenant: UUID
) -> None:
    async def fail(_: Mapping[str, Any]) -> None:
        raise ValueError("no bell for ada@example.org at +491721234567")

    bench.act = fail
    await bench.enqueue()
    async with running(bench.runner(attempts=2)):
        await until(lambda: _failed(bench))
    async with app_database.transaction(other_tenant) as tx:
        assert (await jobs.failed_jobs(tx, PageRequest())).items == []
    async with app_database.transaction(bench.tenant) as tx:
        (job,) = (await jobs.failed_jobs(tx, PageRequest())).items
        assert (job.name, job.attempts, job.data) == (bench.name, 2, {"n": 0})
        assert job.error is not None
        assert job.error.startswith("ValueError: no bell for")
        assert "ada" not in job.error
        assert "49172" not in job.error
        for cursor in ("x", "-1", "9" * 30, "٣"):
            with pytest.raises(BadJobCursor):
                await jobs.failed_jobs(tx, PageRequest(cursor=cursor))
    async with app_database.transaction(other_tenant) as tx:
        with pytest.raises(FailedJobNotFound):
            await jobs.retry_failed_job(tx, job.id)
    async with app_database.transaction(bench.tenant) as tx:
        await jobs.retry_failed_job(tx, job.id)
    bench.act = None
    async with running(bench.runner()):
        await until(lambda: _gone(bench))
    assert len(bench.ran) == 3


async def test_a_job_over_its_time_is_cancelled_and_counts_as_failed(bench: Bench) -> None:
    cancelled = asyncio.Event()

    async def hang(_: Mapping[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    bench.act = hang
    await bench.enqueue()
    async with running(bench.runner(timeout=0.05, attempts=1)):
        await until(lambda: _failed(bench))
    assert cancelled.is_set()


async def test_a_stop_puts_a_running_job_back_uncounted(bench: Bench) -> None:
    async def hang(_: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    bench.act = hang
    await bench.enqueue()
    async with running(bench.runner()):
        await until(lambda: len(bench.ran) == 1)
    assert await bench.rows() == [{"status": "queued", "attempts": 0}]
    bench.act = None
    async with running(bench.runner()):
        await until(lambda: _gone(bench))
    assert len(bench.ran) == 2


async def test_a_cancelled_runner_puts_its_jobs_back(bench: Bench) -> None:
    async def hang(_: Mapping[str, Any]) -> None:
        await asyncio.Event().wait()

    bench.act = hang
    await bench.enqueue()
    task = asyncio.create_task(bench.runner().run(asyncio.Event()))
    await until(lambda: len(bench.ran) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await bench.rows() == [{"status": "queued", "attempts": 0}]


async def test_a_killed_process_s_job_is_taken_over_and_given_up_when_it_kills_again_and_again(bench: Bench) -> None:
    number = await bench.enqueue()
    await _pick_and_die(bench, number, attempts=1)
    async with running(bench.runner(attempts=3)):
        await until(lambda: _gone(bench))
    assert len(bench.ran) == 1

    number = await bench.enqueue()
    await _pick_and_die(bench, number, attempts=3)
    async with running(bench.runner(attempts=3)):
        await until(lambda: _failed(bench))
    assert len(bench.ran) == 1


async def test_two_runners_share_the_jobs(bench: Bench) -> None:
    for _ in range(40):
        await bench.enqueue()
    async with running(bench.runner(), bench.runner()):
        await until(lambda: _gone(bench))
    assert len(bench.ran) == 40


async def test_work_goes_on_after_the_database_dropped_every_connection(bench: Bench, owner: Any) -> None:
    finish = asyncio.Event()

    async def first_waits(_: Mapping[str, Any]) -> None:
        if len(bench.ran) == 1:
            await finish.wait()

    bench.act = first_waits
    async with running(bench.runner()):
        await bench.enqueue()
        await until(lambda: len(bench.ran) == 1)
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'carillon%' AND application_name <> 'carillon'"
        )
        await bench.enqueue()
        # Not only when the running one has ended.
        await until(lambda: len(bench.ran) == 2)
        finish.set()
        await until(lambda: _gone(bench))


async def test_a_statement_waits_for_the_database_until_the_runner_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carillon.storage.jobs.pgqueuer._RETRY_SECONDS", 0.0)
    pool = AsyncMock()
    pool.fetch.side_effect = [asyncpg.ConnectionDoesNotExistError(), OSError(), [{"one": 1}], OSError()]
    driver = PatientDriver(pool, "postgresql://")
    assert await driver.fetch("SELECT 1") == [{"one": 1}]
    driver.closing.set()
    with pytest.raises(OSError):
        await driver.fetch("SELECT 1")


async def test_a_cancelled_attempt_is_put_back_not_dropped() -> None:
    started = asyncio.Event()

    async def hang(_: UUID | None, __: Mapping[str, Any]) -> None:
        started.set()
        await asyncio.Event().wait()

    queries = AsyncMock(uncounted=set())
    queries.begin.return_value = 1
    execution = Execution(Work("test.hang", hang, 60.0, 3, keep=True), queries, asyncio.Event())
    row = Mock(id=1, payload=b'{"tenant_id": null, "data": {}}')
    task = asyncio.create_task(execution.execute(row, Mock()))
    await started.wait()
    task.cancel()
    # PgQueuer removes a job that was cancelled; one that asks for a retry stays.
    with pytest.raises(RetryRequested):
        await task
    assert queries.uncounted == {1}


async def test_each_tick_of_the_timetable_is_queued_once_by_many_workers(bench: Bench, owner: Any) -> None:
    ran = asyncio.Event()

    async def run(_: Resources) -> None:
        ran.set()

    entry = Timed(bench.name, "0 4 * * *", run)
    tables = [Timetable(bench.resources.database, [entry]) for _ in range(4)]
    await asyncio.gather(*(table.sync() for table in tables))
    await asyncio.gather(*(table.tick() for table in tables))
    timed = Bench(bench.resources, bench.tenant, bench.url, name=f"timed.{bench.name}")
    assert await timed.rows() == []
    await owner.execute("UPDATE queue.timed SET next_run = now() - interval '3 days' WHERE name = $1", bench.name)
    await asyncio.gather(*(table.tick() for table in tables))
    assert await timed.rows() == [{"status": "queued", "attempts": 0}]
    assert await owner.fetchval("SELECT next_run > now() FROM queue.timed WHERE name = $1", bench.name)
    async with running(JobRunner(bench.resources, [], [entry], bench.url, pace=FAST)):
        await asyncio.wait_for(ran.wait(), 60)
        await until(lambda: _gone(timed))


async def test_a_changed_timetable_takes_effect(bench: Bench, owner: Any) -> None:
    async def run(_: Resources) -> None: ...

    await Timetable(bench.resources.database, [Timed(bench.name, "0 4 1 1 *", run)]).sync()
    await Timetable(bench.resources.database, [Timed(bench.name, "* * * * *", run)]).sync()
    soon = await owner.fetchval(
        "SELECT next_run <= now() + interval '1 minute' FROM queue.timed WHERE name = $1", bench.name
    )
    assert soon


def test_cron_expressions_are_utc_and_may_have_seconds() -> None:
    noon = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
    assert next_time("30 13 * * *", noon) == noon.replace(hour=13, minute=30)
    assert next_time("* * * * * */10", noon) == noon.replace(second=10)


async def test_old_log_lines_go(bench: Bench, owner: Any) -> None:
    await owner.execute(
        "INSERT INTO queue.pgqueuer_log (job_id, status, priority, entrypoint, created) "
        "VALUES (-1, 'successful', 0, $1, now() - interval '8 days'), (-1, 'successful', 0, $1, now())",
        bench.name,
    )
    await prune(bench.resources)
    assert await owner.fetchval("SELECT count(*) FROM queue.pgqueuer_log WHERE entrypoint = $1", bench.name) == 1


async def _gone(bench: Bench) -> bool:
    return await bench.rows() == []


async def _failed(bench: Bench) -> bool:
    return [row["status"] for row in await bench.rows()] == ["failed"]


async def _pick_and_die(bench: Bench, number: int | None, *, attempts: int) -> None:
    """What a kill -9 leaves behind: picked by nobody who lives, counted, its heartbeat old."""
    async with bench.resources.database.across_tenants() as tx:
        await tx.execute(
            "UPDATE queue.pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), attempts = :attempts, "
            "heartbeat = now() - interval '1 hour' WHERE id = :id",
            {"id": number, "attempts": attempts},
        )
