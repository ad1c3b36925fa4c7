"""A policy's digest names its content, however it is spelt."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from consentkit.errors import PolicyError
from consentkit.policy import Policy, canonical_form, short_digest
from tests.policy.documents import document, policy, put

VECTORS = ["arrays", "french", "structures", "unicode", "values", "weird"]
REMARKS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def shuffled(data: st.DataObject, found: Any) -> Any:
    """Return `found` with the names of each object in an order that `data` decides."""
    if isinstance(found, dict):
        return {name: shuffled(data, found[name]) for name in data.draw(st.permutations(list(found)))}
    return [shuffled(data, item) for item in found] if isinstance(found, list) else found


@settings(max_examples=40)
@given(st.data(), REMARKS)
def test_the_canonical_form_knows_neither_the_order_of_names_nor_white_space(
    data: st.DataObject, remark: object
) -> None:
    """RFC 8785; and all that follows from the policy is the same."""
    source = document(put("/x-remark", remark))
    one = Policy.from_bytes(json.dumps(source).encode())
    other = Policy.from_bytes(
        json.dumps(shuffled(data, source), indent=data.draw(st.integers(0, 3))).encode()
    )
    assert one.canonical == other.canonical
    assert (one.categories, one.services, one.regimes) == (other.categories, other.services, other.regimes)


@settings(max_examples=50)
@given(REMARKS)
def test_the_digest_is_sha_256_over_the_canonical_form(remark: object) -> None:
    """As any other implementation computes it."""
    source = document(put("/x-remark", remark))
    found = Policy.from_dict(source)
    assert found.canonical == rfc8785.dumps(source)
    assert found.digest == hashlib.sha256(rfc8785.dumps(source)).hexdigest()


@settings(max_examples=50)
@given(REMARKS)
def test_a_policy_read_back_from_its_canonical_form_is_the_same(remark: object) -> None:
    """What the ledger keeps is the policy."""
    found = Policy.from_dict(document(put("/x-remark", remark)))
    again = Policy.from_bytes(found.canonical)
    assert (again, again.canonical, again.services) == (found, found.canonical, found.services)


def test_a_policy_once_in_force_is_taken_up_again_unchecked() -> None:
    """Rules may get stricter; what was published stays readable."""
    found = policy()
    again = Policy.from_canonical(found.canonical)
    assert (again, again.services, again.regimes) == (found, found.services, found.regimes)
    lax = canonical_form(document(put("/services/counter/hosts", ["No Such Host"])))
    assert Policy.from_canonical(lax).service("counter").hosts == ("No Such Host",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"b":1,"a":1}', "this is not the canonical form of a policy"),
        (b'{ "a":1}', "this is not the canonical form of a policy"),
        (b'{"a":1}', "this was never a policy"),
        (canonical_form(document(put("/languages", 1))), "this was never a policy"),
        (canonical_form(document(put("/services", 1))), "this was never a policy"),
        (canonical_form(document(put("/controller", []))), "this was never a policy"),
        (canonical_form(document(put("/regimes/us/model", "x"))), "this was never a policy"),
        (canonical_form(document(put("/regimes/us", "x"))), "this was never a policy"),
        (
            canonical_form(document(put("/categories/analytics", 1))),
            "this was never a policy",
        ),
        (b"{", "this is not JSON"),
    ],
)
def test_what_was_never_a_policy_cannot_be_taken_up_again(text: bytes, message: str) -> None:
    """A damaged ledger is told from a policy."""
    with pytest.raises(PolicyError) as refusal:
        Policy.from_canonical(text)
    assert refusal.value.problems[0].message.startswith(message)


@pytest.mark.parametrize("name", VECTORS)
def test_the_canonical_form_passes_the_published_vectors(vectors: Path, name: str) -> None:
    """Input to output, octet for octet; arrays are no policy, but have a canonical form inside one."""
    folder = vectors / "tlog" / "jcs"
    source = json.loads((folder / "input" / f"{name}.json").read_bytes())
    wanted = (folder / "output" / f"{name}.json").read_bytes()
    assert wanted == bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text())
    assert canonical_form({"x": source}) == b'{"x":' + wanted + b"}"


@pytest.mark.parametrize("value", [float("nan"), 2**53, "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """The function by itself says so with ValueError; a policy that holds it is refused before."""
    with pytest.raises(ValueError, match=r"JCS|domain|UTF-8"):
        canonical_form({"x": value})


def test_the_short_digest_is_the_beginning_of_the_long_one() -> None:
    """8 characters of base64url stand for 48 bits."""
    assert short_digest("00" * 32) == "AAAAAAAA"
    assert short_digest("fbefbefbefbe" + "00" * 26) == "--------"
    assert short_digest(policy().digest) != short_digest(policy(put("/version", "2")).digest)
