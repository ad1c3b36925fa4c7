"""Public keys that prove nothing are refused before anything is verified under them."""

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consentkit.errors import ConsentkitError, InvalidKey, InvalidTile, InvalidTrust
from consentkit.keys import check_public_key, verify_ed25519
from tests.tlog.logs import SeedKey

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def square_root(value: int) -> int | None:
    root = pow(value, (P + 3) // 8, P)
    if root * root % P != value % P:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == value % P else None


def small_order_encodings() -> list[bytes]:
    """All points whose order divides 8, from the doubling formula, each y with both signs.

    Order 1, 2 and 4 have y = 1, -1 and 0; doubling a point of order 8 gives y = 0, so d y^4 + 2 y^2 = 1.
    """
    squares = [(-1 + s * (root or 0)) * pow(D, -1, P) % P for root in [square_root(1 + D)] for s in (1, -1)]
    order_8 = [y for square in squares if (y := square_root(square)) is not None]
    values = {0, 1, P - 1, *order_8, *(P - y for y in order_8)}
    return [(y | sign << 255).to_bytes(32, "little") for y in sorted(values) for sign in (0, 1)]


@pytest.mark.parametrize("raw", small_order_encodings(), ids=bytes.hex)
def test_points_of_small_order_are_refused(raw: bytes) -> None:
    """Trap: the cryptography library takes them, and under them anybody can sign."""
    Ed25519PublicKey.from_public_bytes(raw)
    with pytest.raises(InvalidKey):
        check_public_key(raw)


def test_the_small_order_points_are_all_there() -> None:
    """Five values of y, two signs each: the eight points and two impossible encodings of x = 0."""
    assert len(small_order_encodings()) == 10


@pytest.mark.parametrize("excess", range(19))
@pytest.mark.parametrize("sign", [0, 1])
def test_a_coordinate_beyond_the_field_is_refused(excess: int, sign: int) -> None:
    """RFC 8032 section 5.1.3: y is below p; other spellings would give one key two ids."""
    with pytest.raises(InvalidKey, match="canonical"):
        check_public_key((P + excess | sign << 255).to_bytes(32, "little"))


def test_bytes_that_are_no_point_are_refused() -> None:
    """About half of all byte strings are on the curve; the others verify nothing, so say so at once."""
    off_curve = next(y for y in range(2, 99) if square_root((y * y - 1) * pow(D * y * y + 1, -1, P)) is None)
    with pytest.raises(InvalidKey, match="not a point"):
        check_public_key(off_curve.to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    """An Ed25519 key has 32 bytes."""
    with pytest.raises(InvalidKey, match=f"not {size}"):
        check_public_key(bytes(size))


@pytest.mark.parametrize("seed", range(20))
def test_honest_keys_are_accepted(seed: int) -> None:
    """The check returns the key itself."""
    raw = SeedKey(str(seed)).public_key
    assert check_public_key(raw) is raw


def test_a_signature_verifies_only_over_its_own_message() -> None:
    """And a bad signature is an answer, not an error, whatever its length."""
    key = SeedKey("x")
    signature = key.sign(b"yes")
    assert verify_ed25519(key.public_key, b"yes", signature)
    assert not verify_ed25519(key.public_key, b"no", signature)
    assert not verify_ed25519(key.public_key, b"yes", signature[:-1])


def test_nothing_verifies_under_a_refused_key() -> None:
    """The identity point accepts the signature (identity, 0) over everything; here it is not even asked."""
    identity = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"anything")
    with pytest.raises(InvalidKey):
        verify_ed25519(identity, b"anything", identity + bytes(32))


@pytest.mark.parametrize(
    "error",
    [
        InvalidTile("bad", path="tile/0/000", remedy="fetch it again"),
        InvalidTrust("bad", line=3),
        InvalidKey("bad", remedy="make another"),
    ],
    ids=repr,
)
def test_errors_survive_the_way_back_from_another_process(error: ConsentkitError) -> None:
    """Audits run in process pools, which pickle what they raise."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_an_error_says_what_is_wrong_and_what_to_do() -> None:
    """The remedy follows in brackets, where there is one."""
    assert str(InvalidKey("bad key")) == "bad key"
    assert "make another" in str(InvalidKey("bad key", remedy="make another"))
