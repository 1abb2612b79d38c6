"""What an operator may set wrongly is refused before anything starts, with its name and without its value."""

import pytest
from pydantic import ValidationError

from carillon.ops.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CARILLON_ALLOW_NETWORKS", '["127.0.0.0/8"]', "number 1 is not a network; separate them by commas"),
        ("CARILLON_ALLOW_NETWORKS", "10.0.0.0/8, 10.0.0.1/8", "number 2 is not a network"),
        ("CARILLON_TRUSTED_PROXIES", "proxy.example", "number 1 is not a network"),
        ("CARILLON_PORT", "99999", "less than or equal to 65535"),
        ("CARILLON_PORT", "0", "greater than or equal to 1"),
        ("CARILLON_LOG_FORMAT", "xml", "'json' or 'console'"),
        ("CARILLON_PUBLIC_URL", "carillon.example", "pattern"),
        ("CARILLON_SIMULATOR", "abc", "pattern"),
        ("CARILLON_SMTP_URL", "ftp://mail.example", "smtp://user:password@host:port"),
        ("CARILLON_MAX_BODY_BYTES", "-1", "greater than or equal to 1000"),
        ("CARILLON_TENANT_REQUESTS_PER_MINUTE", "-5", "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    (error,) = caught.value.errors(include_input=False)
    assert told in error["msg"]
    assert value not in error["msg"]


def test_lists_have_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_ALLOW_NETWORKS", "10.0.0.0/8, 192.168.1.5,")
    monkeypatch.setenv("CARILLON_PUBLIC_URL", "https://carillon.example:8443/")
    assert Settings().allow_networks == ("10.0.0.0/8", "192.168.1.5")
