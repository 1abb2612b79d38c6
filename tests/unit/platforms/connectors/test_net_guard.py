"""Where a tenant's URL may lead."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.connectors.custom_http.net_guard import (
    AddressRefused,
    NetGuard,
    PinnedUrl,
)
from carillon.platforms.connectors.public_internet import embedded, is_public

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:0808:0808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "192.169.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_calls_private(address: IPv4Address | IPv6Address) -> None:
    real = embedded(address)
    if is_public(address):
        special = [real.is_private, real.is_loopback, real.is_link_local, real.is_multicast, real.is_reserved]
        assert not any(special)


@given(st.ip_addresses(v=4))
def test_a_wrapped_v4_address_is_judged_as_itself(address: IPv4Address) -> None:
    for prefix in (0xFFFF << 32, 0x0064_FF9B << 96):
        assert is_public(IPv6Address(prefix | int(address))) == is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://①②⑦.0.0.1/",
        "https://0/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1#@example.com/",
        "https://127.0.0.1\\@example.com/",
        "https:127.0.0.1",
        "https:///127.0.0.1/",
        "https://example.com./",
        "https://a..b/",
        "https://%31%32%37.0.0.1/",
        "https://127.0.0.1%00.example.com/",
        "https://exa mple.com/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "http://8.8.8.8/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "unix:/run/x.sock",
        "//example.com/",
        "example.com",
        "",
        "https://",
    ],
)
def test_urls_that_are_refused_by_their_looks(url: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        NetGuard().read(url)
    assert "example" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/in?x=1", "example.com"),
        ("HTTPS://EXAMPLE.com:8443", "example.com"),
        ("https://bücher.de/", "xn--bcher-kva.de"),
        ("https://8.8.8.8/", "8.8.8.8"),
        ("https://[2606:4700:4700::1111]/", "[2606:4700:4700::1111]"),
    ],
)
def test_urls_that_pass(url: str, host: str) -> None:
    assert NetGuard().read(url).host == host


async def pin(guard: NetGuard, url: str) -> PinnedUrl:
    return await guard.pin(guard.read(url))


def resolving(*addresses: str):
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def test_a_name_is_pinned_to_its_judged_addresses() -> None:
    guard = NetGuard(resolve=resolving("8.8.8.8", "8.8.8.8", "2606:4700::1"))
    pinned = await pin(guard, "https://hooks.example:8443/in")
    assert (pinned.url.host, pinned.url.port, pinned.addresses) == ("hooks.example", 8443, ("8.8.8.8", "2606:4700::1"))


@pytest.mark.parametrize("bad", PRIVATE)
async def test_one_bad_address_spoils_them_all(bad: str) -> None:
    with pytest.raises(AddressRefused):
        await pin(NetGuard(resolve=resolving("8.8.8.8", bad)), "https://hooks.example/")


async def test_a_name_without_addresses_is_no_address() -> None:
    with pytest.raises(OSError, match="no address"):
        await pin(NetGuard(resolve=resolving()), "https://hooks.example/")


async def test_localhost_as_the_system_resolves_it_is_refused() -> None:
    with pytest.raises(AddressRefused):
        await pin(NetGuard(), "https://localhost/")


async def test_only_allowed_networks_may_be_private_or_plain_http() -> None:
    guard = NetGuard(["10.1.0.0/16"], resolve=resolving("10.1.2.3"))
    assert (await pin(guard, "http://hooks.example/")).addresses == ("10.1.2.3",)
    assert guard.read("http://[::ffff:10.1.2.3]/").scheme == "http"
    for url in ("http://10.2.0.1/", "https://127.0.0.1/", "http://8.8.8.8/"):
        with pytest.raises(AddressRefused):
            guard.read(url)
    with pytest.raises(AddressRefused):
        await pin(NetGuard(["10.1.0.0/16"], resolve=resolving("10.1.2.3", "8.8.8.8")), "http://hooks.example/")


@pytest.mark.parametrize("bad", PRIVATE)
async def test_a_proxy_may_not_stand_in_a_private_network_either(bad: str) -> None:
    with pytest.raises(AddressRefused):
        await NetGuard().pin_proxy(bad, 1080)
    with pytest.raises(AddressRefused):
        await NetGuard(resolve=resolving("8.8.8.8", bad)).pin_proxy("proxy.example", 1080)


async def test_a_proxy_is_pinned_to_its_judged_address() -> None:
    assert await NetGuard(resolve=resolving("8.8.8.8", "1.1.1.1")).pin_proxy("proxy.example", 1080) == "8.8.8.8"
    assert await NetGuard(["10.1.0.0/16"]).pin_proxy("10.1.2.3", 1080) == "10.1.2.3"
