"""Stop words with a tenant's own, and its own texts of confirmation."""

import pytest

from carillon.audience.consents import stop_words
from carillon.audience.consents.contracts import Policy
from carillon.audience.consents.detection import confirmation, detect_opt_out

OWN = Policy(stop_words=("basta così",), confirmations={"de": "Schluss.", "pt-BR": "Pronto."})


@pytest.mark.parametrize(
    ("text", "kind"), [("STOP!", "stop"), ("退订", "stop"), ("START", "start"), ("Basta così.", "stop")]
)
def test_built_in_and_own_words_are_heard(text: str, kind: str):
    found = detect_opt_out(OWN, text)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("text", ["", "basta così, ma domani sì", "don't stop"])
def test_other_messages_are_left_alone(text: str):
    assert detect_opt_out(OWN, text) is None


def test_words_of_one_tenant_are_not_anothers():
    assert detect_opt_out(Policy(), "basta così") is None


@pytest.mark.parametrize(
    ("language", "text"), [("de", "Schluss."), ("de-AT", "Schluss."), ("DE", "Schluss."), ("pt-br", "Pronto.")]
)
def test_the_tenants_text_confirms(language: str, text: str):
    assert confirmation(OWN, language) == text


@pytest.mark.parametrize("language", ["pt", "zh-Hans", "und", None])
def test_else_the_built_in_text_confirms(language: str | None):
    assert confirmation(OWN, language) == stop_words.confirmation(language)
