"""What checks mean, and which addresses a proxy may stand at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.proxies.checks import check_host, check_probe
from carillon.platforms.proxies.contracts import USABLE, Finding, Health, ProxyState
from carillon.platforms.proxies.errors import BadProxy
from carillon.platforms.proxies.health import DOWN_AFTER, judge
from carillon.platforms.proxies.probe import permitted

HEALTHY = Health(ProxyState.HEALTHY, "", 0)


def test_one_failure_degrades_and_three_are_down() -> None:
    health, states = HEALTHY, []
    for _ in range(DOWN_AFTER):
        health = judge(health, Finding("timeout"))
        states.append(health.state)
    assert states == [ProxyState.DEGRADED] * (DOWN_AFTER - 1) + [ProxyState.DOWN]


def test_one_good_check_makes_up_for_all_and_a_slow_one_degrades() -> None:
    down = Health(ProxyState.DOWN, "timeout", 9)
    assert judge(down, Finding(None, 0.1)) == HEALTHY
    assert judge(HEALTHY, Finding(None, 5.0)) == Health(ProxyState.DEGRADED, "slow", 0)


@pytest.mark.parametrize("reason", ["refused_credentials", "forbidden_address"])
def test_what_will_not_mend_is_down_at_once(reason: str) -> None:
    assert judge(HEALTHY, Finding(reason)).state is ProxyState.DOWN


@given(st.sampled_from(list(ProxyState)), st.integers(0, 5), st.sampled_from(["timeout", "protocol"]))
def test_a_proxy_that_never_worked_is_never_used_after_a_failure(state: ProxyState, failures: int, why: str) -> None:
    after = judge(Health(state, "", failures), Finding(why))
    if state not in USABLE:
        assert after.state is ProxyState.DOWN


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1", "::1", "fe80::1%eth0", "fd00::1", "0.0.0.0",
     "::ffff:127.0.0.1", "100.64.0.1", "224.0.0.1", "nonsense", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1",
     "168.63.129.16"],
)  # fmt: skip
def test_our_own_networks_are_refused(address: str) -> None:
    assert not permitted(address, ())


def test_public_and_allowed_addresses_are_fine() -> None:
    assert permitted("93.184.216.34", ())
    assert permitted("2606:2800:220:1::1", ())
    assert permitted("10.1.2.3", ("10.0.0.0/8",))
    assert permitted("::ffff:10.1.2.3", ("10.0.0.0/8",))
    assert not permitted("10.1.2.3", ("192.168.0.0/16",))


@pytest.mark.parametrize(
    ("given_", "normal"),
    [("Example.COM.", "example.com"), ("[::1]", "::1"), ("127.0.0.1", "127.0.0.1"), ("a_b.example", "a_b.example")],
)
def test_hosts_have_one_form(given_: str, normal: str) -> None:
    assert check_host(given_) == normal


@pytest.mark.parametrize("host", ["", "a b", "http://a", "a/b", "a:1", "-a", "a..b", "x" * 300, "钟.example"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(BadProxy):
        check_host(host)


@pytest.mark.parametrize(
    ("given_", "normal"), [("Example.com:443", "example.com:443"), ("[::1]:80", "[::1]:80"), ("1.2.3.4:1", "1.2.3.4:1")]
)
def test_probes_have_one_form(given_: str, normal: str) -> None:
    assert check_probe(given_) == normal


@pytest.mark.parametrize("probe", ["a", "a:", ":1", "a:0", "a:65536", "a:99999999", "a:١", "a:-1"])
def test_what_is_no_probe_is_refused(probe: str) -> None:
    with pytest.raises(BadProxy):
        check_probe(probe)
