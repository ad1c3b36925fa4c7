"""Texts in several languages: a new language is one new file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs
import pytest

from consentkit import banner
from consentkit.banner import catalogue, catalogue_languages
from consentkit.errors import UnknownLanguage
from consentkit.policy import COUNTRIES, Lifetime

FILES = sorted((Path(banner.__file__).parent / "locales").glob("*.json"))
ENGLISH = json.loads(next(file for file in FILES if file.stem == "en").read_text(encoding="utf-8"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def load(file: Path) -> dict:
    """Read a catalogue as it lies on disk."""
    return json.loads(file.read_text(encoding="utf-8"))


def test_english_and_french_are_there() -> None:
    """The languages are the files, no list of them is kept elsewhere."""
    assert {"en", "fr"} <= set(catalogue_languages()) == {file.stem for file in FILES}


@each_file
def test_every_language_has_the_same_texts(file: Path) -> None:
    """No key is missing and none is left over."""
    assert load(file).keys() == ENGLISH.keys()
    for part in ("texts", "durations", "countries"):
        assert load(file)[part].keys() == ENGLISH[part].keys()


@each_file
def test_every_text_has_the_placeholders_of_the_english_one(file: Path) -> None:
    """A translation may move a value but not lose it, and says something."""
    for key, text in load(file)["texts"].items():
        assert text.strip() == text != ""
        assert set(re.findall(r"{\w*}", text)) == set(re.findall(r"{\w*}", ENGLISH["texts"][key])), key


@each_file
def test_every_country_has_a_name(file: Path) -> None:
    """All codes that a policy may use, and no two with one name."""
    countries = load(file)["countries"]
    assert countries.keys() == set(COUNTRIES)
    assert len(set(countries.values())) == len(countries)


@each_file
def test_every_duration_has_all_plural_forms(file: Path) -> None:
    """Each unit but the session has a form for each plural category of the language."""
    found = load(file)
    forms = {*found["plurals"], "other"}
    assert found["durations"].pop("session").keys() == {"other"}
    assert all(unit.keys() == forms for unit in found["durations"].values())


@pytest.mark.parametrize(
    ("language", "lifetime", "words"),
    [
        ("en", "1 day", "1 day"),
        ("en", "0 days", "0 days"),
        ("en", "13 months", "13 months"),
        ("fr", "0 day", "0 jour"),
        ("fr", "1 hour", "1 heure"),
        ("fr", "2 years", "2 ans"),
        ("en", "session", "until the browser is closed"),
        ("fr-CA", "2 days", "2 jours"),
    ],
)
def test_durations_are_put_into_words(language: str, lifetime: str, words: str) -> None:
    """Zero and one take the form that the language gives them."""
    assert catalogue(language).duration(Lifetime.parse(lifetime)) == words


def test_a_region_of_a_language_is_served_by_the_language() -> None:
    """The texts are those of the primary language; the tag stays the one that was asked for."""
    assert catalogue("fr-CA").texts == catalogue("fr").texts
    assert catalogue("fr-CA").tag == "fr-CA"


def test_a_language_without_texts_is_an_error_that_names_the_others() -> None:
    """So a misspelt tag shows at once."""
    with pytest.raises(UnknownLanguage, match=r"'tlh'.*en, fr") as caught:
        catalogue("tlh")
    assert (caught.value.language, caught.value.known) == ("tlh", catalogue_languages())


def test_an_unknown_country_is_shown_by_its_code() -> None:
    """A code that came up after this version is better than nothing."""
    assert catalogue("en").place("Acme", "ZZ") == "Acme (ZZ)"


@pytest.mark.parametrize(
    ("n", "category"),
    [
        (1, "one"),
        (21, "one"),
        (11, "other"),
        (3, "few"),
        (13, "other"),
        (0, "zero"),
        (5, "other"),
        (100, "zero"),
    ],
)
def test_plural_rules_know_remainders_ranges_and_exceptions(n: int, category: str) -> None:
    """The rules are CLDR's in its own notation, so that no language needs code."""
    slavic = attrs.evolve(
        catalogue("en"),
        plurals={
            "one": "n % 10 = 1 and n % 100 != 11",
            "few": "n % 10 = 2..4 and n % 100 != 12..14",
            "zero": "n = 0 or n = 100,200",
        },
    )
    assert slavic.plural(n) == category


def test_a_rule_that_cannot_be_read_is_an_error() -> None:
    """A catalogue with a mistake in it does not fall back to a wrong form in silence."""
    with pytest.raises(ValueError, match="i = 1"):
        attrs.evolve(catalogue("en"), plurals={"one": "i = 1"}).plural(1)
