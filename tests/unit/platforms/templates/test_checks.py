"""Validation with places, the choice of a language, previews, test vectors."""

import pytest

from carillon.platforms.templates.checks import check, choose_language, show, validate
from carillon.platforms.templates.contracts import Content, Vector
from carillon.platforms.templates.errors import BadTemplate


def places(content: Content) -> list[str]:
    return [fault.place for fault in validate(content).faults]


def test_every_fault_is_found_with_its_place() -> None:
    content = Content(
        {"": "Hi {{ name }}", "zh-CN": "你好，我们的朋友 {{ nam }}", "de": "  ", "x y": "a"}, {"fax": "a"}
    )
    assert places(content) == ["texts.de", "texts.x y", "hints.fax", "texts.zh-CN, character 10"]


def test_there_must_be_a_text_for_everyone_else() -> None:
    assert places(Content({"en": "Hi"})) == ["texts.*"]
    assert places(Content({"": "", "en": "Hi"})) == ["texts.*"]
    assert places(Content({"": "{{"})) == ["texts.*, character 1"]


def test_languages_are_one_whatever_their_case() -> None:
    assert places(Content({"": "a", "en": "b", "EN": "c"})) == ["texts.EN"]


@pytest.mark.parametrize(
    ("language", "chosen"), [("zh-CN", "zh-cn"), ("zh-TW", "zh"), ("ZH", "zh"), ("fr", ""), (None, ""), ("", "")]
)
def test_the_nearest_language_is_chosen(language: str | None, chosen: str) -> None:
    assert choose_language({"": "a", "zh": "b", "zh-cn": "c"}, language) == chosen


def test_a_preview_names_what_is_missing() -> None:
    texts = {"": "Hi {{ name }} of {{ fields.city }}", "zh": "{{ name | default: '朋友' }}"}
    assert show(texts, "en", {"name": "Ann"}).missing == ("fields.city",)
    assert show(texts, "en", {"name": "Ann"}).text is None
    assert show(texts, "zh-CN", {}).text == "朋友"


def test_vectors_must_pass() -> None:
    texts = {"": "Hi {{ name }}"}
    good = Vector("named", {"name": "Ann"}, "Hi Ann")
    missing = Vector("nobody", {}, None)
    wrong = Vector("wrong", {"name": "Ann"}, "Hello Ann")
    assert check(Content(texts, {}, (good, missing))).required == ("name",)
    with pytest.raises(BadTemplate) as refused:
        check(Content(texts, {}, (good, wrong)))
    assert refused.value.place == "vectors.1"
    assert "Hi Ann" in refused.value.message
