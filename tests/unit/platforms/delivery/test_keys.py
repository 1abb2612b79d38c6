"""The de-duplication key."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.delivery.keys import message_key


@given(st.uuids(), st.uuids())
def test_a_signed_64_bit_number_that_never_changes(tenant, message) -> None:
    key = message_key(tenant, message)
    assert key == message_key(tenant, message)
    assert -(2**63) <= key < 2**63
    assert key != 0


def test_two_tenants_never_share_a_key() -> None:
    message = uuid4()
    assert message_key(uuid4(), message) != message_key(uuid4(), message)
