"""A policy is read from strict JSON within limits; anything else is refused with a place and a remedy."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.errors import PolicyError
from consentkit.policy import Policy, load
from tests.policy.documents import document, dump, policy, problems, put

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
PLACES = [
    "/schema",
    "/version",
    "/controller",
    "/controller/country",
    "/languages",
    "/languages/0",
    "/categories",
    "/categories/analytics",
    "/services",
    "/services/counter",
    "/services/counter/title",
    "/services/counter/provider",
    "/services/counter/purposes/audience",
    "/services/counter/recipients",
    "/services/counter/cookies",
    "/services/counter/cookies/0",
    "/services/counter/cookies/0/name",
    "/services/counter/mappings",
    "/regimes",
    "/regimes/us",
    "/regimes/us/regions",
    "/regimes/us/regions/0",
    "/regimes/us/consent_lifetime",
    "/regimes/us/signals",
    "/regimes/us/models",
    "/fallback",
    "/notice",
    "/records",
    "/enforcement",
]


def test_a_policy_is_loaded_from_a_file(tmp_path: Path) -> None:
    """A path as text and as an object both work."""
    path = tmp_path / "policy.json"
    path.write_bytes(dump(document()))
    assert Policy.load(path) == Policy.load(str(path)) == policy()


def test_a_byte_order_mark_is_passed_over() -> None:
    """Editors on Windows write one; it is not part of the document."""
    assert Policy.from_bytes(b"\xef\xbb\xbf" + dump(document())) == policy()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.json", "there is no such file"),
        (".", "this is a folder"),
        ("\0", "the file cannot be read: embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_policy_error(tmp_path: Path, path: str, message: str) -> None:
    """Nobody has to catch OSError as well, and the path is named."""
    with pytest.raises(PolicyError, match="check the path") as refusal:
        Policy.load(tmp_path / path)
    (found,) = refusal.value.problems
    assert (found.message, str(found.value)) == (message, str(tmp_path / path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1,}', "this is not JSON at line 1, column"),
        (b'{\n  "a": 1\n  "b"', "this is not JSON at line 3, column 3: expecting ',' delimiter"),
        (b"", "this is not JSON at line 1, column 1"),
        (b"# yaml", "this is not JSON at line 1, column 1"),
        (b'{\n"a": "\xff"}', "the text is not UTF-8 at line 2, octet 7"),
        ('{"a": 1}'.encode("utf-16"), "the text is not UTF-8 at line 1, octet 1"),
        (b"[]", "a policy is a JSON object"),
        (b'"a"', "a policy is a JSON object"),
    ],
)
def test_text_that_is_not_a_json_object_is_refused_with_its_place(text: bytes, message: str) -> None:
    """Line and column lead to the fault."""
    (found,) = problems(text)
    assert found.message.startswith(message)


def test_a_name_given_twice_is_refused_wherever_it_is() -> None:
    """Python's parser would keep the second in silence; all of them are told at once."""
    found = problems(b'{"a": 1,\n "b": [{"x": "}", "x": "{\\"", "y/z": {}}, {"y": 1, "y": 2}], "a": 3}')
    assert [(one.pointer, one.message) for one in found] == [
        ("/b/0/x", "this name is given twice, again at line 2, column 19"),
        ("/b/1/y", "this name is given twice, again at line 2, column 52"),
        ("/a", "this name is given twice, again at line 2, column 62"),
    ]


def test_names_that_differ_only_in_their_escapes_are_the_same() -> None:
    """What counts is the name, not its spelling (RFC 8259 section 8.3)."""
    (found,) = problems(b'{"a": 1, "\\u0061": 2}')
    assert found.pointer == "/a"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(constant: str) -> None:
    """Python's parser accepts them; RFC 8259 does not."""
    (found,) = problems(f'{{"x-a": [0, {constant}]}}'.encode())
    assert (found.pointer, found.value) == ("/x-a/1", constant)
    assert found.message == "JSON has no such number, line 1, column 13"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "JSON has no such number"),
        (float("-inf"), "JSON has no such number"),
        (2**53, "the number is too large"),
        (2.0**53, "the number is too large"),
        (-1e300, "the number is too large"),
        (-(2**53), "the number is too large"),
        ("\ud800", "the text has half of a surrogate pair"),
        ((1, 2), "JSON has no such value"),
        ({1, 2}, "JSON has no such value"),
        (b"a", "JSON has no such value"),
        ({1: 2}, "a name is not Unicode text"),
        ({0: 2}, "a name is not Unicode text"),
        ({None: 2}, "a name is not Unicode text"),
        ({b"a": 2}, "a name is not Unicode text"),
        ({"\udfff": 2}, "a name is not Unicode text"),
        ([0] * (load.MAX_MEMBERS + 1), "it has 1001 entries"),
        (dict.fromkeys(map(str, range(load.MAX_MEMBERS + 1))), "it has 1001 entries"),
    ],
)
def test_what_json_cannot_say_is_refused_even_in_remarks(value: object, message: str) -> None:
    """The digest covers remarks too, so they must have a canonical form."""
    (found,) = problems(document(put("/x-remark", [value])))
    assert (found.pointer, found.message) == ("/x-remark/0", message)


def test_a_number_too_long_for_any_type_is_refused() -> None:
    """Python would refuse to convert more than 4300 digits, with an error of its own."""
    (found,) = problems(b'{"x-a": ' + b"9" * 5000 + b"}")
    assert (found.pointer, found.message) == ("/x-a", "the number is too large")


def test_text_that_is_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    """The limit is on octets, and holds for files too."""
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (load.MAX_BYTES + 1))
    with pytest.raises(PolicyError, match="larger than 1048576 octets"):
        Policy.load(path)


@pytest.mark.parametrize(
    "bomb", [b"[" * 500_000, b'{"a":' * 100_000, b'{"x-a":' + b"[" * 40 + b"]" * 40 + b"}"]
)
def test_deep_nesting_is_refused_without_exhausting_the_stack(bomb: bytes) -> None:
    """RecursionError never escapes."""
    (found,) = problems(bomb)
    assert found.message == "objects and lists are nested deeper than 32"


def test_a_circular_structure_is_refused() -> None:
    """It is infinitely deep."""
    loop: list[Any] = []
    loop.append(loop)
    (found,) = problems(document(put("/x-loop", loop)))
    assert found.message == "objects and lists are nested deeper than 32"


def test_an_exploding_structure_is_refused() -> None:
    """A few shared lists can stand for billions of values."""
    wide: list[Any] = [0] * 100
    for _ in range(10):
        wide = [wide] * 100
    (found,) = problems(document(put("/x-wide", wide)))
    assert found.message == "the policy has more than 100000 values"


@pytest.mark.parametrize("found", [None, [], "policy.json", 1, object()])
def test_something_else_than_an_object_is_refused(found: object) -> None:
    """A wrong argument is a policy error too."""
    (one,) = problems(found)
    assert (one.pointer, one.message) == ("", "a policy is a JSON object")


@given(JSON)
def test_arbitrary_json_raises_nothing_but_policy_errors(found: object) -> None:
    """None of it is a policy, so all of it is refused, and each problem can be told."""
    assert all(str(problem) for problem in problems(found))


@given(st.sampled_from(PLACES), JSON | st.dictionaries(st.sampled_from(["en", "name", "regions"]), JSON))
def test_a_policy_with_arbitrary_json_anywhere_raises_nothing_but_policy_errors(
    place: str, value: object
) -> None:
    """However a document is damaged, the checks that follow the damage stand it."""
    try:
        found = Policy.from_dict(document(put(place, value)))
    except PolicyError:
        return
    assert Policy.from_bytes(found.canonical) == found


def test_a_list_too_long_to_be_entered_again_and_again_is_not_entered() -> None:
    """Many references to one long list would otherwise be walked each time."""
    long = [0] * 1_000_000
    found = problems(document(put("/x-long", [long] * 1000)))
    assert len(found) == 1000
    assert {one.message for one in found} == {"it has 1000000 entries"}


def test_a_name_cannot_break_the_list_of_problems_into_more_lines() -> None:
    """Whoever wrote the document does not write the log."""
    with pytest.raises(PolicyError) as refusal:
        Policy.from_dict(document(put("/a\nb", "c\nd")))
    assert len(str(refusal.value).splitlines()) == 2


@given(st.binary(max_size=40))
def test_arbitrary_octets_raise_nothing_but_policy_errors(data: bytes) -> None:
    """Whatever a file holds."""
    assert problems(data)
