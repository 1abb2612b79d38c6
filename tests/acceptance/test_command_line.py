"""Every command as a person types it: what it prints, where, and how it ends."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from typer.testing import CliRunner

from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery import contracts as delivery_contracts
from carillon.runtime.cli import COMMANDS, app
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fixtures.database import Urls
from tests.fixtures.delivery import add_account, add_people

from .installation import Installation, free_port

pytestmark = pytest.mark.acceptance
T = TypeVar("T")

SECRET = ("--secret-from", "PATH")
"""Whatever the environment holds will do."""
PEOPLE = """name,phone,consent,consent_source
Anna,+4915112345678,yes,form
Berta,+4915112345679,yes,form
Carl,12,yes,form
"""


class Here(Installation):
    """Calls in this process: starting another for each would take most of the time."""

    def call(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        unset = {name: None for name in os.environ if name.startswith("CARILLON_")}
        environment = {**unset, **self.environment(**changes)}
        done = CliRunner().invoke(app, arguments, env=environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def here(tmp_path: Path, urls: Urls) -> Here:
    """An installation on the tests' database."""
    key = base64.b64encode(b"k" * 32).decode()
    return Here(tmp_path / "data", extra={"CARILLON_DATABASE_URL": urls.owner, "CARILLON_VAULT_KEY": key})


def refused(here: Installation, *arguments: str, code: str, **changes: str) -> str:
    """Run what must fail: status 1 and one line on standard error that begins with the code."""
    done = here.call(*arguments, **changes)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    if "--json" in arguments:
        assert json.loads(done.stdout.splitlines()[-1])["error"]["code"] == code
    else:
        assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{code}: "), line
    return line


def test_help_names_every_command(tmp_path: Path) -> None:
    here = Here(tmp_path)
    shown = here.call("--help").stdout
    for name in COMMANDS:
        assert f" {name} " in shown
    assert "--everyone-consented" in here.call("import", "--help", COLUMNS="200").stdout
    assert here.call("campaign", "nonsense").returncode == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [("import", "--json"), ("import", "/dev/null", "--json"), ("campaign", "list", "--nonsense", "--json")],
)
def test_who_asks_wrongly_for_json_is_told_in_json(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = Here(tmp_path).call(*arguments)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "usage"
    assert not list(tmp_path.iterdir())


def test_import_tells_what_came_of_each_row(here: Installation, tenant: UUID, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, "utf-8")
    report = here.json("import", str(file), "--tenant", tenant.hex, "--json")
    assert (report["status"], report["rows"], report["created"], report["rejected"]) == ("done", 3, 2, 1)
    again = here.json("import", str(file), "--tenant", tenant.hex, "--json")
    assert (again["created"], again["rejected"]) == (0, 1)


def test_import_refuses_what_it_cannot_do(here: Installation, tenant: UUID, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, "utf-8")
    refused(here, "import", str(file), "--tenant", "nobody", code="tenant_not_found")
    missing = here.call("import", str(tmp_path / "missing.csv"), "--tenant", tenant.hex)
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr
    unproven = here.call("import", str(file), "--tenant", tenant.hex, "--everyone-consented")
    assert unproven.returncode == 2
    assert "--proof" in unproven.stderr


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    here, file = Here(tmp_path / "data"), tmp_path / "people.csv"
    file.write_text(PEOPLE, "utf-8")
    nobody = f"postgresql://carillon:hush@127.0.0.1:{free_port()}/carillon"
    for url in (nobody, "carillon:hush@database", "postgresql://carillon:hush@127.0.0.1:port/carillon"):
        line = refused(here, "import", str(file), "--json", code="setup", CARILLON_DATABASE_URL=url)
        assert "CARILLON_DATABASE_URL" in line
        assert "hush" not in line
    doctor = here.call("doctor", "--json", CARILLON_DATABASE_URL=nobody)
    assert doctor.returncode == 1
    found = {finding["name"]: finding for finding in json.loads(doctor.stdout)}
    assert not found["database"]["ok"]
    assert "hush" not in doctor.stdout + doctor.stderr


def test_a_wrong_setting_is_no_traceback(tmp_path: Path) -> None:
    line = refused(Installation(tmp_path / "data"), "up", code="setup", CARILLON_PORT="abc")
    assert "CARILLON_PORT" in line


def test_settings_that_cannot_be_are_named(tmp_path: Path) -> None:
    here, file = Here(tmp_path / "data"), tmp_path / "file"
    file.touch()
    for command in (("up",), ("run", "api"), ("doctor",), ("accounts", "list")):
        assert "CARILLON_PORT" in refused(here, *command, code="setup", CARILLON_PORT="abc")
    assert "CARILLON_LOG_LEVEL" in refused(here, "up", code="setup", CARILLON_LOG_LEVEL="loud")
    # No one can write below /proc, root neither.
    for bad in (str(file), str(file / "below"), "/proc/carillon"):
        assert bad in refused(here, "accounts", "list", code="setup", CARILLON_DATA=bad)
    line = refused(here, "accounts", "list", code="setup", CARILLON_VAULT_KEY="c2hvcnQ=")
    assert "c2hvcnQ" not in line


def test_accounts_are_added_listed_and_parked(here: Installation, tenant: UUID) -> None:
    at = ("--tenant", tenant.hex)
    options = '{"url": "https://bells.example.com/1"}'
    added = here.call(
        *("accounts", "add", "custom_http", "Bell", "bell-1", "--settings", options, "--secret-from", "BELL", "--json"),
        *at,
        BELL="hush-hush",
    )
    assert added.returncode == 0, added.stderr
    assert "hush" not in added.stdout + added.stderr
    account_id = json.loads(added.stdout)["id"]
    assert here.json("accounts", "park", account_id, *at)["state"] == "parked"
    assert [row["state"] for row in here.json("accounts", "list", *at)] == ["parked"]
    refused(here, "accounts", "add", "custom_http", "Bell", "bell-1", "--settings", "{", *at, code="invalid")
    assert here.call("accounts", "add", "custom_http", "B", "b", "--secret-from", "MISSING", *at).returncode == 2


def test_a_campaign_from_draft_to_started(here: Installation, tenant: UUID, tmp_path: Path) -> None:
    at = ("--tenant", tenant.hex)
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, "utf-8")
    here.json("import", str(file), *at, "--json")
    here.json("accounts", "add", "simulator_whatsapp", "Box", "box-1", "--json", *at)
    created = here.json("campaign", "create", "Spring", "--text", "Hello", "--platform", "whatsapp", "--json", *at)
    assert created["state"] == "draft"
    review = here.json("campaign", "review", created["id"], *at)
    assert review["audience"] == 2
    progress = here.json("campaign", "progress", created["id"], *at)
    assert isinstance(progress, dict)
    assert [row["id"] for row in here.json("campaign", "list", "--json", *at)] == [created["id"]]
    started = here.json("campaign", "start", created["id"], *at)
    assert started["state"] in ("planning", "running")
    assert here.json("campaign", "pause", created["id"], *at)["state"] == "paused"
    unknown = "01900000-0000-7000-8000-000000000000"
    assert "Traceback" not in refused(here, "campaign", "start", unknown, *at, code="campaign_not_found")


def test_the_audit_log_verifies(here: Installation, tenant: UUID) -> None:
    at = ("--tenant", tenant.hex)
    options = '{"url": "https://bells.example.com/1"}'
    here.json("accounts", "add", "custom_http", "Bell", "bell-1", "--settings", options, *SECRET, "--json", *at)
    found = here.json("audit", "verify", "--json", *at)
    assert found["ok"]
    assert found["entries"] >= 1


def test_the_doctor_finds_a_sound_installation_sound(here: Installation) -> None:
    findings = here.json("doctor", "--json")
    assert {finding["name"] for finding in findings} == {"disk", "database", "port", "vault key"}
    assert all(finding["ok"] for finding in findings)


def test_a_message_is_explained_and_what_is_stuck_is_told(
    here: Installation, tenant: UUID, worker_resources: Resources
) -> None:
    message, account = asyncio.run(held_message(worker_resources, tenant))
    told = here.json("delivery", "explain", str(message), "--tenant", tenant.hex)
    assert (told["state"], told["now"]["code"]) == ("held", "held_restored")
    chinese = here.call("delivery", "explain", str(message), "--tenant", tenant.hex, "--language", "zh")
    assert "恢复备份后被暂存" in chinese.stdout
    english = here.call("delivery", "explain", str(message), "--tenant", tenant.hex).stdout
    assert "What you can do:" in english
    assert str(account) in english
    refused(here, "delivery", "explain", str(account), "--tenant", tenant.hex, code="message_not_found")
    stuck = here.call("delivery", "stuck", "--tenant", tenant.hex)
    assert stuck.returncode == 1
    assert "held_restored: 1" in stuck.stdout
    assert "to mend: " in stuck.stdout
    assert [
        one["kind"] for one in json.loads(here.call("delivery", "stuck", "--tenant", tenant.hex, "--json").stdout)
    ] == ["held_restored"]


def test_nothing_stuck_is_a_good_end(here: Installation, tenant: UUID) -> None:
    done = here.call("delivery", "stuck", "--tenant", tenant.hex)
    assert (done.returncode, done.stdout) == (0, "Nothing is stuck.\n")
    assert here.json("delivery", "stuck", "--tenant", tenant.hex) == []


def beforehand(resources: Resources, tenant: UUID, make: Callable[[Tx], Awaitable[T]]) -> T:
    """Rows that a command is to find, made in a loop of their own that leaves no connection open."""

    async def made() -> T:
        try:
            async with resources.database.transaction(tenant) as tx:
                return await make(tx)
        finally:
            await resources.database.close()

    return asyncio.run(made())


async def held_message(resources: Resources, tenant: UUID) -> tuple[UUID, UUID]:
    try:
        async with resources.database.transaction(tenant) as tx:
            account = await add_account(tx, parked=True)
            service = {"service": {"*": {"status": "granted", "until": None}}}
            person = (await add_people(tx, 1, consents=service))[0]
            made = await delivery.accept(tx, delivery_contracts.Draft(account, person, "Hello"))
            await tx.execute(
                "UPDATE platforms.message SET state = 'held', reason = 'restored' WHERE id = :id", {"id": made.id}
            )
        return made.id, account
    finally:
        await resources.database.close()


def test_a_dry_run_writes_nothing_and_takes_a_mapping(here: Here, tenant: UUID, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE.replace("name,phone", "a=b,Nummer der Person"), "utf-8")
    common = ("import", str(file), "--tenant", tenant.hex)
    tried = here.json(*common, "--dry-run", "--map", "Nummer der Person=phone", "--map", "a=b=name")
    assert (tried["status"], tried["created"], tried["rejected"]) == ("tried", 2, 1)
    assert tried["codes"] == {"phone_no_country_code": 1}
    assert (tried["mapping"]["a=b"], tried["mapping"]["Nummer der Person"]) == ("name", "phone")
    done = here.json(*common, "--map", "Nummer der Person=phone", "--map", "a=b=")
    assert (done["status"], done["created"]) == ("done", 2)
    assert "COLUMN=TARGET" in here.call(*common, "--map", "phone").stderr
    refused(here, *common, "--map", "nowhere=phone", code="mapping_invalid")
    refused(here, *common, "--map", "Nummer der Person=soul", code="mapping_invalid")


def test_a_campaign_is_tried_copied_and_written_to_a_file(
    here: Here, app_resources: Resources, tenant: UUID, tmp_path: Path
) -> None:
    async def prepare(tx: Tx) -> tuple[UUID, UUID]:
        return await add_account(tx), (await add_people(tx, 3))[0]

    account, person = beforehand(app_resources, tenant, prepare)
    common = ("--tenant", tenant.hex)
    made = here.json("campaign", "create", "Spring", "--platform", "telegram", "--text", "Hi {{ name }}", *common)
    who = ("--contact", str(person), "--account", str(account))
    tested = here.json("campaign", "test", made["id"], *who, *common)
    assert (tested["state"], tested["text"]) == ("queued", "Hi Person 0")
    refused(here, "campaign", "test", made["id"], *who, "--variant", "Z", *common, code="campaign_invalid")
    assert here.json("campaign", "clone", made["id"], "--name", "Again", *common)["name"] == "Again"
    here.json("campaign", "start", made["id"], *common)
    here.json("campaign", "cancel", made["id"], *common)
    file = tmp_path / "recipients.csv"
    assert here.json("campaign", "export", made["id"], str(file), *common) == {"file": str(file), "rows": 0}
    assert file.read_text("utf-8-sig").startswith("message_id,contact_id,name,")
    assert "exists already" in here.call("campaign", "export", made["id"], str(file), *common).stderr
    assert here.json("campaign", "progress", made["id"], "--follow", *common)["remaining"] == 0


def test_jobs_that_were_given_up_are_queued_again(here: Here, tenant: UUID) -> None:
    common = ("--tenant", tenant.hex)
    assert here.json("jobs", "failed", *common) == []
    assert here.json("jobs", "retry", "--all", *common) == {"queued": []}
    assert here.call("jobs", "retry", *common).returncode == 2
    refused(here, "jobs", "retry", "12", *common, code="failed_job_not_found")


def test_what_a_restore_held_is_released(here: Here, app_resources: Resources, tenant: UUID) -> None:
    async def hold(tx: Tx) -> None:
        account = await add_account(tx)
        service = {"service": {"*": {"status": "granted", "until": None}}}
        for person in await add_people(tx, 3, consents=service):
            await delivery.accept(tx, delivery_contracts.Draft(account, person, "Hi"))
        await tx.execute("UPDATE platforms.message SET state = 'held', reason = 'restored'")

    beforehand(app_resources, tenant, hold)
    common = ("--tenant", tenant.hex)
    assert here.json("delivery", "release", "cancel", *common) == {"cancelled": 3}
    assert here.json("delivery", "release", "send", *common) == {"queued": 0}
    assert here.call("delivery", "release", "keep", *common).returncode == 2
