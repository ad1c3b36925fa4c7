"""Name patterns match, contain and overlap as their definition says."""

from fnmatch import fnmatchcase
from time import perf_counter

from hypothesis import assume, given
from hypothesis import strategies as st

from consentkit.policy.patterns import compile_pattern, contains, overlap, specificity

NAMES = st.text("ab.", max_size=7)
PATTERNS = st.text("ab.*", min_size=1, max_size=6)


@given(PATTERNS, NAMES)
def test_a_star_matches_any_run_of_characters(pattern: str, name: str) -> None:
    """The standard library's shell patterns agree; nothing but the star is special."""
    assert (compile_pattern(pattern).fullmatch(name) is not None) == fnmatchcase(name, pattern)


@st.composite
def looser(draw: st.DrawFn, text: str) -> str:
    """Draw a pattern that matches `text`, and everything that `text` matches: pieces of it become stars."""
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, len(text)))
        text = f"{text[:start]}*{text[end:]}"
    return text


@st.composite
def name_of(draw: st.DrawFn, pattern: str) -> str:
    """Draw a name that `pattern` matches."""
    return "".join(draw(NAMES) if letter == "*" else letter for letter in pattern)


@given(st.data(), NAMES)
def test_patterns_that_match_one_name_overlap(data: st.DataObject, name: str) -> None:
    """There is no false "they cannot meet"."""
    one, other = data.draw(looser(name)), data.draw(looser(name))
    assert compile_pattern(one).fullmatch(name)
    assert overlap(one, other)
    assert overlap(other, one)


@given(PATTERNS, PATTERNS)
def test_patterns_that_overlap_have_a_name_in_common(one: str, other: str) -> None:
    """There is no false "they meet": such a name is made of the one's middle and the other's."""
    if not overlap(one, other):
        return
    heads, tails = ([edge(part) for part in (one, other)] for edge in (head, tail))
    name = max(heads, key=len) + "".join(part.replace("*", "") for part in (one, other)) + max(tails, key=len)
    candidates = [name, one, other] if "*" in one and "*" in other else [one, other]
    assert any(
        compile_pattern(one).fullmatch(found) and compile_pattern(other).fullmatch(found)
        for found in candidates
    )


def head(pattern: str) -> str:
    """Return what stands before the first star."""
    return pattern.partition("*")[0]


def tail(pattern: str) -> str:
    """Return what stands after the last star."""
    return pattern.rpartition("*")[2]


@given(st.data(), PATTERNS)
def test_a_pattern_loosened_contains_what_it_was(data: st.DataObject, inner: str) -> None:
    """Putting a star for a piece of it loses no name."""
    assert contains(data.draw(looser(inner)), inner)


@given(st.data(), PATTERNS, PATTERNS)
def test_a_pattern_that_contains_another_matches_all_its_names(
    data: st.DataObject, outer: str, inner: str
) -> None:
    """Consent for the outer one reaches the inner one."""
    name = data.draw(name_of(inner))
    assert compile_pattern(inner).fullmatch(name)
    assert compile_pattern(outer).fullmatch(name) or not contains(outer, inner)


@given(PATTERNS, PATTERNS)
def test_a_pattern_that_does_not_contain_another_misses_a_name_of_it(outer: str, inner: str) -> None:
    """A letter that occurs in neither stands for whatever the inner star may become."""
    assume(not contains(outer, inner))
    assert not compile_pattern(outer).fullmatch(inner.replace("*", "z"))


def test_the_most_specific_pattern_comes_first() -> None:
    """The longest literal beginning, then the most text, then the alphabet."""
    patterns = ["*", "_gb_*", "*_id", "_ga*", "_ga_*_x", "_ga_*"]
    assert sorted(patterns, key=specificity) == ["_ga_*_x", "_ga_*", "_gb_*", "_ga*", "*_id", "*"]


def test_a_pattern_of_many_stars_is_matched_in_good_time() -> None:
    """A visitor chooses the names, so backtracking must not multiply. The bound is very generous."""
    started = perf_counter()
    assert compile_pattern("*a" * 100 + "*b").fullmatch("a" * 8000) is None
    assert perf_counter() - started < 5
