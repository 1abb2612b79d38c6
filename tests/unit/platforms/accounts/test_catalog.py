"""The catalogue says of each connector what the connector itself says."""

import pytest

from carillon.platforms.accounts.checks import check_settings
from carillon.platforms.accounts.errors import BadAccount
from carillon.platforms.connectors.catalog import CONNECTORS
from carillon.platforms.connectors.custom_http.connector import CustomHttpConnector
from carillon.platforms.connectors.port import Connector, Platform
from carillon.platforms.connectors.simulator.connector import SimulatorConnector

REAL: list[Connector] = [
    CustomHttpConnector(),
    CustomHttpConnector(deduplicates=True),
    *[SimulatorConnector("127.0.0.1:1", platform) for platform in (Platform.TELEGRAM, Platform.WHATSAPP)],
]


def test_every_connector_is_in_the_catalogue() -> None:
    assert {connector.name for connector in REAL} == set(CONNECTORS)


@pytest.mark.parametrize("connector", REAL, ids=lambda connector: connector.name)
def test_a_proxy_is_only_bound_where_it_is_used(connector: Connector) -> None:
    assert CONNECTORS[connector.name].supports_proxy == connector.capabilities.supports_proxy


@pytest.mark.parametrize("connector", REAL, ids=lambda connector: connector.name)
def test_campaigns_run_where_they_may(connector: Connector) -> None:
    assert CONNECTORS[connector.name].campaigns == connector.capabilities.campaigns


@pytest.mark.parametrize("name", ["custom_http", "custom_http_idempotent"])
def test_a_custom_channel_needs_its_secret(name: str) -> None:
    assert CONNECTORS[name].needs_secret


@pytest.mark.parametrize("url", ["", "ftp://a", "https://a b", None])
def test_a_custom_channel_needs_its_url(url: str | None) -> None:
    with pytest.raises(BadAccount):
        check_settings(CONNECTORS["custom_http"], {} if url is None else {"url": url})
    assert check_settings(CONNECTORS["custom_http"], {"url": "https://a.example/x"}) == {"url": "https://a.example/x"}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://user:hunter2@a.example/", "The address must not contain a user name or password."),
        ("https://2130706433/", "The address has no proper host name."),
        ("https://0x7f.1/", "The address has no proper host name."),
        ("https://[fe80::1%25lo]/", "The address has no proper host name."),
        ("https://a.example:99999/", "The address has no proper port."),
    ],
)
def test_a_url_that_could_never_be_called_is_not_stored(url: str, why: str) -> None:
    with pytest.raises(BadAccount) as caught:
        check_settings(CONNECTORS["custom_http"], {"url": url})
    assert (caught.value.message, caught.value.place) == (why, "field settings.url")
