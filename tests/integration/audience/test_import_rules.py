"""What becomes of the rows of a file."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Actor
from carillon.audience.contacts import api
from carillon.audience.contacts.contracts import ContactFilter, FieldType, ImportStatus
from carillon.audience.contacts.errors import MappingInvalid, WrongImportState
from carillon.audience.contacts.readers import UnreadableFile
from carillon.events.catalog.base import load
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.storage.resources import Resources

from .import_files import faults, imported, people, prepare, run, start, upload

PROVEN = {
    "everyone": True,
    "proof": "https://shop.example/terms",
    "at": datetime(2026, 1, 1, tzinfo=UTC),
    "platforms": ["*"],
}


async def verdict(owner: Any, tenant: UUID, phone: str, platform: str = "telegram") -> str | None:
    reason: str | None = await owner.fetchval(
        "SELECT audience.verdict(c.consents, c.opted_out_at, c.last_inbound_at, c.peers ->> $3, $3, 'marketing', "
        "now()) "
        "FROM audience.contact c JOIN audience.identity i ON i.tenant_id = c.tenant_id AND i.contact_id = c.id "
        "WHERE c.tenant_id = $1 AND i.value = $2",
        tenant,
        phone,
        platform,
    )
    return reason


async def test_rows_become_contacts_with_addresses_tags_and_zones(worker_resources: Resources, tenant: UUID, owner):
    content = (
        "Phone,Name,E-Mail,Telegram,Tags,Language,Country\n"
        "0151 23456789,Müller,M@X.de,@Mueller_1,vip; neu,DE,\n"
        "+8613800138000,王小明,,,,zh-hans,cn\n"
    )
    done = await imported(worker_resources, tenant, content, region="DE", tags=["2026"])
    assert (done.status, done.rows, done.created, done.rejected) == (ImportStatus.DONE, 2, 2, 0)
    found = await people(owner, tenant)
    mueller, wang = found["telegram_username mueller_1"], found["phone +8613800138000"]
    assert mueller["addresses"] == ["telegram_username mueller_1", "phone +4915123456789", "email m@x.de"]
    assert mueller["tags"] == ["2026", "neu", "vip"]
    assert mueller["language"] == "de"
    assert mueller["country"] == "DE"
    assert mueller["time_zones"] == ["Europe/Berlin"]
    assert mueller["email"] == "m@x.de"
    assert '"telegram": "mueller_1"' in mueller["peers"]
    assert '"whatsapp": "+4915123456789"' in mueller["peers"]
    assert wang["name"] == "王小明"
    assert wang["country"] == "CN"
    assert wang["language"] == "zh-Hans"


async def test_text_that_could_break_an_array_arrives_as_it_is(worker_resources: Resources, tenant: UUID, owner):
    nasty = 'O\\"Neil {NULL}, \\\\ ,"x",'
    content = 'phone,name,tags\n+4915123456701,"' + nasty.replace('"', '""') + '",NULL\n+4915123456702,NULL,"{a}"\n'
    await imported(worker_resources, tenant, content)
    found = await people(owner, tenant)
    assert found["phone +4915123456701"]["name"] == nasty
    assert found["phone +4915123456701"]["tags"] == ["NULL"]
    assert found["phone +4915123456702"]["name"] == "NULL"
    assert found["phone +4915123456702"]["tags"] == ["{a}"]


async def test_bad_rows_are_kept_with_place_and_reason(worker_resources: Resources, tenant: UUID, owner):
    content = "phone,email,time zone\nabc,,\n,,\n12,ok@x.org,Mars/Olympus\n+4915123456789,,\n+49 151 23456789,,\n"
    done = await imported(worker_resources, tenant, content)
    assert await faults(owner, done.id) == [
        (2, "rejected", "phone_not_a_number"),
        (4, "warning", "phone_no_country_code"),
        (4, "warning", "time_zone_invalid"),
        (6, "duplicate", "duplicate_row"),
    ]
    assert (done.created, done.rejected, done.duplicates, done.warnings) == (2, 1, 1, 2)
    raw, text = await owner.fetchrow(
        "SELECT raw ->> 'phone', text FROM audience.import_fault WHERE import_id = $1 AND row = 6", done.id
    )
    assert raw == "+49 151 23456789"
    assert "row 5" in text


async def test_the_error_file_holds_the_original_values_and_no_formula(worker_resources: Resources, tenant: UUID):
    content = 'phone,name\n"=HYPERLINK(""http://evil"")",@SUM(A1)\n'
    done = await imported(worker_resources, tenant, content)
    rows = [row async for row in api.fault_rows(worker_resources.database, tenant, done)]
    assert rows[0][-2:] == ['=HYPERLINK("http://evil")', "@SUM(A1)"]
    assert api.fault_columns(done)[-2:] == ["phone", "name"]


@pytest.mark.parametrize(
    ("policy", "name", "city", "tags"),
    [
        ("skip", "Old", '{"city": "Bonn"}', ["a"]),
        ("update", "New", '{"city": "Köln"}', ["a", "b"]),
        ("merge", "Old", '{"city": "Bonn"}', ["a", "b"]),
    ],
)
async def test_known_contacts_follow_the_policy(
    worker_resources: Resources, tenant: UUID, owner, policy: str, name: str, city: str, tags: list[str]
):
    async with worker_resources.database.transaction(tenant) as tx:
        await api.define_field(tx, key="city", label="City", kind=FieldType.TEXT)
    field = {"mapping": {"city": "field:city"}}
    await imported(worker_resources, tenant, "phone,name,city,tags\n+4915123456789,Old,Bonn,a\n", **field)
    again = "phone,name,city,tags,email,first name\n+4915123456789,New,Köln,b,n@x.org,Ada\n"
    done = await imported(worker_resources, tenant, again, duplicates=policy, **field)
    found = (await people(owner, tenant))["phone +4915123456789"]
    assert (found["name"], found["fields"], found["tags"]) == (name, city, tags)
    assert (found["email"], found["first_name"]) == ((None, None) if policy == "skip" else ("n@x.org", "Ada"))
    assert (done.updated, done.skipped) == ((0, 1) if policy == "skip" else (1, 0))


async def test_addresses_of_two_contacts_in_one_row_are_refused(worker_resources: Resources, tenant: UUID, owner):
    await imported(worker_resources, tenant, "phone,telegram\n+4915123456701,\n,ada_l\n")
    done = await imported(worker_resources, tenant, "phone,telegram\n+4915123456701,ada_l\n", duplicates="update")
    assert await faults(owner, done.id) == [(2, "rejected", "address_conflict")]


async def test_a_shared_email_stays_with_its_first_owner(worker_resources: Resources, tenant: UUID, owner):
    content = "phone,email\n+4915123456701,family@x.org\n+4915123456702,family@x.org\n"
    done = await imported(worker_resources, tenant, content)
    assert (done.created, done.duplicates, done.warnings) == (2, 0, 1)
    assert await faults(owner, done.id) == [(3, "warning", "email_taken")]


async def test_consent_comes_from_columns_and_needs_proof_and_date(worker_resources: Resources, tenant: UUID, owner):
    until = (datetime.now(UTC) - timedelta(days=1)).date()
    content = (
        "phone,consent,consent_at,consent_expires_at,evidence\n"
        "+4915123456701,yes,2026-01-05,,form 1\n"
        "+4915123456702,是,05.01.2026,,\n"
        "+4915123456703,yes,,,form 3\n"
        f"+4915123456704,yes,2025-01-05,{until},form 4\n"
        "+4915123456705,maybe,2026-01-05,,form 5\n"
        "+4915123456706,no,2026-01-05,,\n"
    )
    rule = {"consent": {"platforms": ["telegram"]}, "mapping": {"evidence": "consent_proof"}}
    done = await imported(worker_resources, tenant, content, **rule)
    reasons = [await verdict(owner, tenant, f"+491512345670{n}") for n in range(1, 7)]
    assert reasons == [None, "no_consent", "no_consent", "consent_expired", "no_consent", "opted_out"]
    assert await verdict(owner, tenant, "+4915123456701", "whatsapp") == "no_consent"
    assert (done.created, done.opted_out, done.unsendable) == (6, 1, 4)


async def test_consent_for_the_whole_file(worker_resources: Resources, tenant: UUID, owner):
    await imported(worker_resources, tenant, "phone\n+4915123456701\n", consent=PROVEN)
    await imported(worker_resources, tenant, "phone\n+4915123456702\n", consent={**PROVEN, "proof": None})
    assert await verdict(owner, tenant, "+4915123456701") is None
    assert await verdict(owner, tenant, "+4915123456702") == "no_consent"


@pytest.mark.parametrize("policy", ["skip", "update", "merge"])
async def test_an_import_resubscribes_nobody(worker_resources: Resources, tenant: UUID, owner, policy: str):
    content = "phone\n+4915123456701\n+4915123456702\n"
    await imported(worker_resources, tenant, content, consent=PROVEN)
    found = await owner.fetch("SELECT contact_id, value FROM audience.identity WHERE tenant_id = $1", tenant)
    ids = {row["value"]: row["contact_id"] for row in found}
    now, actor = datetime.now(UTC), Actor("system")
    async with worker_resources.database.transaction(tenant) as tx:
        await consents.opt_out(
            tx, worker_resources.vault, ids["+4915123456701"], source="message", proof=None, at=now, actor=actor
        )
        from carillon.audience.consents.contracts import ConsentEntry

        withdrawal = ConsentEntry(ids["+4915123456702"], "marketing", "withdrawn", "operator", now, actor)
        await consents.record(tx, withdrawal, recorded_at=now)
    fresh = {**PROVEN, "at": datetime.now(UTC)}
    done = await imported(worker_resources, tenant, content, consent=fresh, duplicates=policy)
    assert await verdict(owner, tenant, "+4915123456701") == "opted_out"
    assert await verdict(owner, tenant, "+4915123456702") == "consent_withdrawn"
    assert done.opted_out == 1


async def test_a_suppressed_address_comes_in_opted_out(worker_resources: Resources, tenant: UUID, owner):
    async with worker_resources.database.transaction(tenant) as tx:
        address = [("phone", "+4915123456701")]
        await consents.suppress(tx, worker_resources.vault, address, reason="erased", source="erasure")
    done = await imported(worker_resources, tenant, "phone\n+4915123456701\n+4915123456702\n", consent=PROVEN)
    assert await verdict(owner, tenant, "+4915123456701") == "opted_out"
    assert await verdict(owner, tenant, "+4915123456702") is None
    assert done.opted_out == 1


@pytest.mark.parametrize("policy", ["skip", "update"])
async def test_a_no_counts_for_known_people_and_in_repeated_rows(
    worker_resources: Resources, tenant: UUID, owner, policy: str
):
    await imported(worker_resources, tenant, "phone\n+4915123456701\n", consent=PROVEN)
    content = "phone,consent\n+4915123456701,no\n+4915123456702,yes\n+4915123456702,no\n"
    await imported(worker_resources, tenant, content, duplicates=policy, consent={**PROVEN, "everyone": False})
    assert await verdict(owner, tenant, "+4915123456701") == "opted_out"
    assert await verdict(owner, tenant, "+4915123456702") == "opted_out"


async def test_gbk_with_mixed_faults(worker_resources: Resources, tenant: UUID, owner):
    names = ["王伟", "李娜", "张敏", "刘洋", "陈静", "杨勇", "赵丽", "黄磊", "周杰", "吴芳"]
    rows = ["姓名,手机号,标签"]
    rows += [f"{name},1380013{n:04},客户；北京" for n, name in enumerate(names * 5)]
    rows += ["李娜,138,", "张敏,13800130000,", "刘洋,１３９００１３９０００,上海"]
    done = await imported(worker_resources, tenant, "\r\n".join(rows).encode("gbk"), region="CN")
    assert done.format["encoding"].lower() in {"gb18030", "gbk"}
    assert (done.rows, done.created, done.rejected, done.duplicates) == (53, 51, 1, 1)
    found = await people(owner, tenant)
    assert found["phone +8613800130000"]["name"] == "王伟"
    assert found["phone +8613800130000"]["tags"] == ["北京", "客户"]
    assert found["phone +8613900139000"]["name"] == "刘洋"
    kinds = [(row, kind) for row, kind, _ in await faults(owner, done.id)]
    assert kinds == [(52, "rejected"), (53, "duplicate")]


async def test_a_zip_bomb_is_refused_at_upload(worker_resources: Resources, tenant: UUID):
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 200_000_000)
    with pytest.raises(UnreadableFile) as caught:
        await upload(worker_resources, tenant, buffer.getvalue(), "people.xlsx")
    assert caught.value.code == "zip_bomb"


async def test_a_file_that_breaks_off_fails_the_import_and_keeps_what_came_before(
    worker_resources: Resources, tenant: UUID, owner, monkeypatch: pytest.MonkeyPatch
):
    from carillon.audience.contacts.importing import batches
    from carillon.audience.contacts.readers.delimited import DelimitedReader

    def breaking(self: DelimitedReader, **options: Any) -> Any:
        yield from original(self, **options)
        raise UnreadableFile(place="row 4")

    original = DelimitedReader.batches
    monkeypatch.setattr(batches, "SIZE", 1)
    found = await start(worker_resources, tenant, b"phone\n+4915123456701\n+4915123456702\n")
    monkeypatch.setattr(DelimitedReader, "batches", breaking)
    done = await run(worker_resources, tenant, found.id)
    assert done.status is ImportStatus.FAILED
    assert done.error == {"code": "unreadable_file", "text": "The file cannot be read.", "place": "row 4"}
    assert len(await people(owner, tenant)) == 2


async def test_the_dry_run_says_what_would_happen_and_writes_nothing(worker_resources: Resources, tenant: UUID, owner):
    await imported(worker_resources, tenant, "phone\n+4915123456701\n")
    content = b"phone,consent\n+4915123456701,\n+4915123456702,yes\n+4915123456702,\nabc,\n+4915123456703,no\n"
    found = await prepare(worker_resources, tenant, content, consent={**PROVEN, "everyone": False})
    before = await people(owner, tenant)
    async with worker_resources.database.transaction(tenant) as tx:
        await api.check(tx, found.id)
    await api.run_check(worker_resources, tenant, {"import_id": str(found.id)})
    async with worker_resources.database.transaction(tenant) as tx:
        tried = await api.get_import(tx, found.id)
        await api.start(tx, found.id)
    assert tried.status is ImportStatus.READY
    assert await people(owner, tenant) == before
    done = await run(worker_resources, tenant, found.id)
    counted = ("rows", "created", "skipped", "duplicates", "rejected", "warnings", "opted_out", "unsendable")
    assert {name: tried.report[name] for name in counted} == {name: getattr(done, name) for name in counted}
    assert tried.report["complete"] is True
    assert [fault["row"] for fault in tried.report["faults"]] == [4, 5]


async def test_the_file_is_deleted_when_the_import_ends(worker_resources: Resources, tenant: UUID, owner):
    done = await imported(worker_resources, tenant, "phone\n+4915123456701\n")
    key = await owner.fetchval("SELECT blob_key FROM audience.contact_import WHERE id = $1", done.id)
    assert not await worker_resources.blobs.exists(key)


async def test_events_tell_of_batches_not_of_people(worker_resources: Resources, tenant: UUID, owner):
    done = await imported(worker_resources, tenant, "phone\n+4915123456701\n+4915123456702\n")
    rows = await owner.fetch(
        "SELECT type, payload::text AS payload FROM events.event WHERE subject_id = $1 ORDER BY position", done.id
    )
    assert [row["type"] for row in rows] == [
        "import.started",
        "contacts.imported",
        "import.progressed",
        "import.finished",
    ]
    import orjson

    event = load("contacts.imported", orjson.loads(rows[1]["payload"]))
    assert event.created == 2  # type: ignore[attr-defined]
    assert not any("+49" in row["payload"] for row in rows)


async def test_a_mapping_must_fit(worker_resources: Resources, tenant: UUID):
    found = await upload(worker_resources, tenant, b"phone,name\n+4915123456701,A\n")
    for mapping in ({"nope": "phone"}, {"phone": "nonsense"}, {"name": "name"}, {"phone": "phone", "name": "field:x"}):
        async with worker_resources.database.transaction(tenant) as tx:
            with pytest.raises(MappingInvalid):
                await api.configure(tx, found.id, api.make_options({"mapping": mapping}))
    async with worker_resources.database.transaction(tenant) as tx:
        with pytest.raises(WrongImportState):
            await api.start(tx, found.id)


async def test_tenants_do_not_see_each_others_imports_or_people(
    worker_resources: Resources, app_resources: Resources, tenant: UUID, other_tenant: UUID, owner
):
    await imported(worker_resources, tenant, "phone\n+4915123456701\n")
    theirs = await imported(worker_resources, other_tenant, "phone\n+4915123456701\n")
    assert theirs.created == 1
    assert len(await people(owner, tenant)) == len(await people(owner, other_tenant)) == 1
    async with app_resources.database.transaction(tenant) as tx:
        assert await tx.scalar("SELECT count(*) FROM audience.contact_import") == 1
        with pytest.raises(api_errors().ImportNotFound):
            await api.get_import(tx, theirs.id)


def api_errors() -> Any:
    from carillon.audience.contacts import errors

    return errors


async def test_cancelling_before_the_start_removes_the_file(worker_resources: Resources, tenant: UUID, owner):
    found = await prepare(worker_resources, tenant, b"phone\n+4915123456701\n")
    key = await owner.fetchval("SELECT blob_key FROM audience.contact_import WHERE id = $1", found.id)
    async with worker_resources.database.transaction(tenant) as tx:
        assert (await api.cancel(tx, found.id, worker_resources)).status is ImportStatus.CANCELLED
    assert not await worker_resources.blobs.exists(key)
    async with worker_resources.database.transaction(tenant) as tx:
        with pytest.raises(WrongImportState):
            await api.cancel(tx, found.id, worker_resources)


def test_ids_are_time_ordered() -> None:
    from carillon.audience.contacts.importing.arrays import new_ids

    made = new_ids(5_000)
    assert made == sorted(set(made))
    assert all(one.version == 7 for one in made)
    assert abs((made[0].int >> 80) - (uuid7().int >> 80)) < 10_000
    assert system_subject(made[0]).tenant_id == made[0]


async def test_a_repeated_row_about_a_known_contact_is_a_duplicate_in_a_later_batch_too(
    worker_resources: Resources, tenant: UUID, owner, monkeypatch: pytest.MonkeyPatch
):
    from carillon.audience.contacts.importing import batches

    await imported(worker_resources, tenant, "phone\n+4915123456701\n")
    monkeypatch.setattr(batches, "SIZE", 1)
    done = await imported(worker_resources, tenant, "phone\n+4915123456701\n+4915123456701\n")
    assert (done.skipped, done.duplicates) == (1, 1)
    text = await owner.fetchval("SELECT text FROM audience.import_fault WHERE import_id = $1", done.id)
    assert "row 2" in text


async def test_files_of_people_do_not_stay(worker_resources: Resources, tenant: UUID, owner):
    old = await prepare(worker_resources, tenant, b"phone\n+4915123456701\n")
    fresh = await prepare(worker_resources, tenant, b"phone\n+4915123456702\n")
    done = await imported(worker_resources, tenant, "phone\nabc\n")
    async with worker_resources.database.transaction(tenant) as tx:
        made = await api.start_export(tx, system_subject(tenant), ContactFilter())
    await api.run_export(worker_resources, tenant, {"export_id": str(made.id)})
    await owner.execute(
        "UPDATE audience.contact_import SET created_at = now() - interval '8 days' WHERE id = $1", old.id
    )
    for table, days, row in (("contact_import", 31, done.id), ("contact_export", 8, made.id)):
        late = f"UPDATE audience.{table} SET finished_at = now() - interval '{days} days' WHERE id = $1"
        await owner.execute(late, row)
    await api.tidy(worker_resources)
    async with worker_resources.database.transaction(tenant) as tx:
        assert (await api.get_import(tx, old.id)).status is ImportStatus.CANCELLED
        assert (await api.get_import(tx, fresh.id)).status is ImportStatus.READY
        assert (await api.get_export(tx, made.id)).status == "expired"
        assert "sample" not in (await api.get_import(tx, done.id)).format
    assert await faults(owner, done.id) == []
    folder = worker_resources.settings.data / "blobs" / str(tenant)
    assert len([one for one in folder.rglob("*") if one.is_file()]) == 1
