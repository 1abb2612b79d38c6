"""Whatever a tenant writes can only become text."""

from contextlib import suppress
from string import ascii_lowercase
from typing import SupportsIndex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.platforms.templates.errors import BadTemplate, MissingVariable
from carillon.platforms.templates.language import LONGEST, Variable, compile_text

HOSTILE = st.text(alphabet="{}|:\"'. \n%$<>_()[]\\anmefilds钟", max_size=80)
PLAIN = st.text(max_size=40).filter(lambda text: "{{" not in text and "}}" not in text and "\0" not in text)
PLAIN = PLAIN.filter(lambda text: not text.startswith(("{", "}")) and not text.endswith(("{", "}")))
KEYS = st.text(alphabet=ascii_lowercase + "_城市", min_size=1, max_size=10)
NAMES = st.sampled_from(["name", "first_name", "last_name"]) | KEYS.map(lambda key: f"fields.{key}")
SPACES = st.sampled_from(["", " ", "\n\t "])


@settings(max_examples=500)
@given(HOSTILE)
def test_any_text_is_a_template_or_a_fault_with_its_place(text: str) -> None:
    try:
        template = compile_text(text)
    except BadTemplate as error:
        place = error.place or ""
        assert place.startswith("character ")
        assert 1 <= int(place.removeprefix("character ")) <= max(1, len(text))
        return
    rendered = template.render(dict.fromkeys(template.variables, "v"))
    literals = "".join(part if isinstance(part, str) else "v" for part in template.parts)
    assert rendered == literals


@given(PLAIN)
def test_text_without_marks_is_itself(text: str) -> None:
    assert compile_text(text).render({}) == text


@given(HOSTILE, HOSTILE)
def test_a_value_is_never_read_again(one: str, two: str) -> None:
    template = compile_text("<{{ name }}|{{ fields.x }}>")
    if one and two:
        assert template.render({"name": one, "fields.x": two}) == f"<{one}|{two}>"


@given(st.lists(st.tuples(PLAIN, NAMES, SPACES, st.none() | st.text(alphabet="ab{ }|'", max_size=8)), max_size=8))
def test_what_is_written_is_what_is_read(pieces: list[tuple[str, str, str, str | None]]) -> None:
    text, expected = "", ""
    for literal, name, space, default in pieces:
        if default is not None and "}}" in default:
            continue
        given_default = "" if default is None else f'|{space}default{space}:{space}"{default}"{space}'
        text += f"{literal}{{{{{space}{name}{space}{given_default}}}}}"
        expected += literal + ("v" if default is None else default)
    template = compile_text(text)
    values = dict.fromkeys(template.required, "v")
    holes = [part for part in template.parts if isinstance(part, Variable)]
    if all(hole.default is None or hole.name not in values for hole in holes):
        assert template.render(values) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Hello {{ name", 7),
        ("Hello name }}", 12),
        ("{{ }}", 1),
        ("a{{ name.upper() }}", 2),
        ("{{ fields. }}", 1),
        ("{{ fields.a.b }}", 1),
        ("{{ __class__ }}", 1),
        ("{{ settings.secret }}", 1),
        ("{{ name | upper }}", 1),
        ("{{ name | default: name }}", 1),
        ('{{ name | default: "a" | default: "b" }}', 1),
        ("{{ {{ name }} }}", 1),
        ("{{{ name }}}", 1),
        ("钟{% if %}}}", 9),
        ("abc\0", 4),
        ("a" * LONGEST + "b", LONGEST + 1),
    ],
)
def test_faults_have_places(text: str, place: int) -> None:
    with pytest.raises(BadTemplate) as refused:
        compile_text(text)
    assert refused.value.place == f"character {place}"


def test_defaults_fill_and_empty_values_count_as_missing() -> None:
    template = compile_text("Hi {{ name | default: 'friend' }} of {{ fields.city }}")
    assert template.variables == ("name", "fields.city")
    assert template.required == ("fields.city",)
    assert template.render({"name": "", "fields.city": "x"}) == "Hi friend of x"
    with pytest.raises(MissingVariable) as refused:
        template.render({"fields.city": ""})
    assert refused.value.place == "variable fields.city"


def test_reading_takes_time_in_proportion() -> None:
    """Counted in steps of the scan, not in seconds: every search starts where the last one ended."""

    class Counting(str):
        __slots__ = ()
        looked = 0

        def find(self, sub: str, start: SupportsIndex | None = None, end: SupportsIndex | None = None, /) -> int:
            found = super().find(sub, start, end)
            Counting.looked += (found if found >= 0 else len(self)) - (int(start) if start is not None else 0)
            return found

    for text in ("{{ name }}" * 900, "{{ name }} " + "{{" * 4_000, "{ { " * 2_000):
        Counting.looked = 0
        hostile = Counting(text)
        with suppress(BadTemplate):
            compile_text.__wrapped__(hostile)
        assert Counting.looked <= 3 * len(text)
