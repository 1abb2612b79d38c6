"""Permission sets as bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.identity.roles import api
from carillon.identity.roles.errors import PermissionEscalation, UnknownPermission
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import ALL_PERMISSIONS, Permission, compile_permissions, list_permissions
from carillon.kernel.subject import Subject, SubjectKind

MASKS = {name: role.mask for name, role in api.BUILTIN_ROLES.items()}


def subject(mask: int) -> Subject:
    return Subject(uuid7(), SubjectKind.USER, uuid7(), mask)


@given(st.sets(st.sampled_from(Permission)))
def test_a_set_survives_compilation_and_names(permissions: set[Permission]):
    mask = compile_permissions(permissions)
    assert set(list_permissions(mask)) == permissions
    assert api.read_permissions(permission.wire for permission in permissions) == mask


@given(st.sets(st.sampled_from(Permission)), st.sets(st.sampled_from(Permission)))
def test_only_a_subset_may_be_given(mine: set[Permission], given_away: set[Permission]):
    giver = subject(compile_permissions(mine))
    if given_away <= mine:
        api.check_within(giver, compile_permissions(given_away))
    else:
        with pytest.raises(PermissionEscalation) as caught:
            api.check_within(giver, compile_permissions(given_away))
        missing = [permission.wire for permission in Permission if permission in given_away - mine]
        assert caught.value.data["missing"] == missing


def test_an_owner_has_everything_and_an_admin_cannot_make_one():
    assert MASKS["owner"] == ALL_PERMISSIONS
    with pytest.raises(PermissionEscalation):
        api.check_within(subject(MASKS["admin"]), MASKS["owner"])


@pytest.mark.parametrize("name", ["operator", "agent", "analyst"])
def test_lesser_roles_have_no_say_over_people(name: str):
    assert MASKS[name] & ~MASKS["admin"] == 0
    barred = {Permission.USERS_WRITE, Permission.ROLES_WRITE, Permission.API_KEYS_WRITE, Permission.CONTACTS_ERASE}
    assert not barred & set(list_permissions(MASKS[name]))


def test_an_analyst_only_reads():
    assert all(permission.wire.endswith(":read") for permission in list_permissions(MASKS["analyst"]))


def test_stored_bits_beyond_this_version_count_for_nothing():
    assert api.effective_mask(None, 1 << 200 | 1) == 1
    assert api.effective_mask("unheard of", ALL_PERMISSIONS) == 0
    assert api.effective_mask("owner", 0) == ALL_PERMISSIONS


def test_an_unknown_permission_is_named():
    with pytest.raises(UnknownPermission) as caught:
        api.read_permissions(["contacts:read", "contacts:fly"], "body.permissions")
    assert caught.value.place == "body.permissions.1"
