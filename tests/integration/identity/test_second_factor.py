"""The second factor, from the QR code to the last recovery code."""

import pyotp
import pytest

from .conftest import PASSWORD, Browser, Person, Town, TurnedClock


@pytest.fixture
async def person(town: Town, browser: Browser) -> Person:
    someone = await town.add("owner")
    await browser.login(someone.email)
    return someone


async def set_up(browser: Browser, clock: TurnedClock) -> tuple[pyotp.TOTP, list[str]]:
    enrolment = (await browser.post("/auth/totp", {"password": PASSWORD})).json()
    app = pyotp.parse_uri(enrolment["uri"])
    assert isinstance(app, pyotp.TOTP)
    answer = await browser.post("/auth/totp/confirm", {"code": app.at(clock.now())})
    assert answer.status == 200
    clock.turn(seconds=60)
    return app, answer.json()["recovery_codes"]


async def test_it_is_asked_for_once_it_is_confirmed(browser: Browser, person: Person, clock: TurnedClock):
    await browser.post("/auth/totp", {"password": PASSWORD})
    fresh = Browser(browser.client)
    assert (await fresh.login(person.email)).status == 200
    app, codes = await set_up(browser, clock)
    assert len(codes) == 10
    assert (await browser.get("/auth/totp")).json() == {"active": True, "recovery_codes_left": 10}

    fresh = Browser(browser.client)
    answer = await fresh.login(person.email)
    assert (answer.status, answer.code) == (401, "second_factor_required")
    assert fresh.cookie is None
    assert (await fresh.login(person.email, code="000000")).code == "second_factor_invalid"
    assert (await fresh.login(person.email, code=app.at(clock.now()))).status == 200


async def test_it_does_not_replace_the_password(browser: Browser, person: Person, clock: TurnedClock):
    app, _ = await set_up(browser, clock)
    code = app.at(clock.now())
    fresh = Browser(browser.client)
    assert (await fresh.login(person.email, "not the password", code=code)).code == "invalid_credentials"
    assert (await fresh.login(person.email, code=code)).status == 200


async def test_a_code_works_once(browser: Browser, person: Person, clock: TurnedClock):
    app, _ = await set_up(browser, clock)
    code = app.at(clock.now())
    assert (await Browser(browser.client).login(person.email, code=code)).status == 200
    assert (await Browser(browser.client).login(person.email, code=code)).code == "second_factor_invalid"
    clock.turn(seconds=30)
    assert (await Browser(browser.client).login(person.email, code=code)).code == "second_factor_invalid"
    assert (await Browser(browser.client).login(person.email, code=app.at(clock.now()))).status == 200


async def test_the_code_of_the_confirmation_does_not_sign_in(browser: Browser, person: Person, clock: TurnedClock):
    enrolment = (await browser.post("/auth/totp", {"password": PASSWORD})).json()
    code = pyotp.TOTP(enrolment["secret"]).at(clock.now())
    await browser.post("/auth/totp/confirm", {"code": code})
    assert (await Browser(browser.client).login(person.email, code=code)).code == "second_factor_invalid"


async def test_a_recovery_code_works_once(browser: Browser, person: Person, clock: TurnedClock):
    _, codes = await set_up(browser, clock)
    assert (await Browser(browser.client).login(person.email, code=codes[3].upper())).status == 200
    assert (await Browser(browser.client).login(person.email, code=codes[3])).code == "second_factor_invalid"
    assert (await browser.get("/auth/totp")).json()["recovery_codes_left"] == 9


async def test_recovery_codes_are_renewed(browser: Browser, person: Person, clock: TurnedClock):
    _, codes = await set_up(browser, clock)
    assert (await browser.post("/auth/totp/recovery-codes", {"password": "wrong"})).code == "password_wrong"
    renewed = (await browser.post("/auth/totp/recovery-codes", {"password": PASSWORD})).json()["recovery_codes"]
    assert not set(codes) & set(renewed)
    assert (await Browser(browser.client).login(person.email, code=codes[0])).code == "second_factor_invalid"
    assert (await Browser(browser.client).login(person.email, code=renewed[0])).status == 200


async def test_guessing_codes_is_slow(browser: Browser, person: Person, clock: TurnedClock):
    app, _ = await set_up(browser, clock)
    fresh = Browser(browser.client)
    for number in range(5):
        assert (await fresh.login(person.email, code=f"00000{number}")).code == "second_factor_invalid"
    assert (await fresh.login(person.email, code=app.at(clock.now()))).code == "throttled"
    clock.turn(minutes=15)
    assert (await fresh.login(person.email, code=app.at(clock.now()))).status == 200


async def test_turning_it_on_and_off_needs_the_password(browser: Browser, person: Person, clock: TurnedClock):
    assert (await browser.post("/auth/totp", {"password": "wrong"})).code == "password_wrong"
    assert (await browser.post("/auth/totp/disable", {"password": PASSWORD})).code == "second_factor_inactive"
    await set_up(browser, clock)
    assert (await browser.post("/auth/totp/disable", {"password": "wrong"})).code == "password_wrong"
    assert (await Browser(browser.client).login(person.email)).code == "second_factor_required"
    assert (await browser.post("/auth/totp/disable", {"password": PASSWORD})).status == 204
    assert (await Browser(browser.client).login(person.email)).status == 200


async def test_it_is_set_up_in_order(browser: Browser, person: Person, clock: TurnedClock):
    assert (await browser.post("/auth/totp/confirm", {"code": "123456"})).code == "second_factor_inactive"
    await browser.post("/auth/totp", {"password": PASSWORD})
    assert (await browser.post("/auth/totp/confirm", {"code": "12345x"})).code == "code_invalid"
    await set_up(browser, clock)
    assert (await browser.post("/auth/totp", {"password": PASSWORD})).code == "second_factor_active"
    assert (await browser.post("/auth/totp/confirm", {"code": "123456"})).code == "second_factor_active"


async def test_it_is_in_the_audit_log_without_its_secret(browser: Browser, person: Person, clock: TurnedClock):
    app, codes = await set_up(browser, clock)
    answer = await browser.get("/audit", query={"action": "second_factor."})
    assert [entry["action"] for entry in answer.json()["items"]] == ["second_factor.activated"]
    text = (await browser.get("/audit")).body.decode()
    assert app.secret not in text
    assert not any(code in text for code in codes)
