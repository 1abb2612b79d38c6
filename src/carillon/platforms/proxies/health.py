"""What checks mean for a proxy's state. Pure."""

from .contracts import Finding, Health, ProxyState

DOWN_AFTER = 3
"""Failed checks in a row before a proxy that worked counts as down."""

SLOW = 2.0
"""Seconds to reach the probe above which a proxy is degraded."""

_FINAL = frozenset({"refused_credentials", "forbidden_address"})
"""What will not mend itself by trying again."""


def judge(before: Health, finding: Finding) -> Health:
    """The state after one more check."""
    if finding.reason is None:
        slow = finding.latency is not None and finding.latency > SLOW
        return Health(ProxyState.DEGRADED, "slow", 0) if slow else Health(ProxyState.HEALTHY, "", 0)
    failures = before.failures + 1
    worked = before.state in (ProxyState.HEALTHY, ProxyState.DEGRADED)
    if worked and failures < DOWN_AFTER and finding.reason not in _FINAL:
        return Health(ProxyState.DEGRADED, finding.reason, failures)
    return Health(ProxyState.DOWN, finding.reason, failures)
