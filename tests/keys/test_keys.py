"""Keys: what signs, how keys are named, and how cookie secrets are rotated without a gap."""

import base64
import hashlib
import hmac
import json
from itertools import pairwise

import attrs
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from consentkit.errors import InvalidKey
from consentkit.keys import (
    CookieKey,
    CookieKeys,
    Ed25519Signer,
    Keys,
    check_log_name,
    jwk_set,
    thumbprint,
    verify_ed25519,
)

PUBLIC_RFC8037 = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")


def test_a_key_id_is_the_jwk_thumbprint() -> None:
    """The key of RFC 8037 appendix A has the thumbprint of appendix A.3."""
    assert thumbprint(PUBLIC_RFC8037) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_another_library_computes_the_same_key_id() -> None:
    """joserfc reads the JWK Set and agrees on every kid."""
    keys = [Ed25519Signer.generate() for _ in range(3)]
    for jwk, signer in zip(jwk_set(*(key.public_key for key in keys))["keys"], keys, strict=True):
        assert OKPKey.import_key(jwk).thumbprint() == jwk["kid"] == signer.key_id


def test_a_signature_verifies_under_its_own_key_only() -> None:
    """What one key signed, another did not, and a changed message was not signed at all."""
    one, other = Ed25519Signer.generate(), Ed25519Signer.generate()
    signature = one.sign(b"yes")
    assert verify_ed25519(one.public_key, b"yes", signature)
    assert not verify_ed25519(one.public_key, b"no", signature)
    assert not verify_ed25519(other.public_key, b"yes", signature)


def test_a_signer_survives_its_pem() -> None:
    """PKCS#8 out, PKCS#8 in, same key."""
    signer = Ed25519Signer.generate()
    again = Ed25519Signer.from_pem(signer.to_pem())
    assert (again.key_id, again.public_key, again.sign(b"x")) == (
        signer.key_id,
        signer.public_key,
        signer.sign(b"x"),
    )


def test_a_signer_does_not_show_its_key() -> None:
    """Neither repr nor str of keys contains a secret."""
    keys = Keys.generate("example.com/consent")
    assert keys.cookie.signing.secret.hex() not in repr(keys)
    assert repr(keys.cookie.signing.secret) not in repr(keys)
    assert "PrivateKey" not in repr(keys)


def pem_of(key: object, encryption: serialization.KeySerializationEncryption) -> bytes:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (b"", "no PKCS#8"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no PKCS#8"),
        (
            pem_of(ec.generate_private_key(ec.SECP256R1()), serialization.NoEncryption()),
            "not an Ed25519 key",
        ),
        (
            pem_of(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"secret")),
            "encrypted",
        ),
    ],
)
def test_a_pem_that_is_no_signing_key_is_refused(pem: bytes, message: str) -> None:
    """Each kind of wrong file gets its own reason."""
    with pytest.raises(InvalidKey, match=message):
        Ed25519Signer.from_pem(pem)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_taken_for_a_key(data: bytes) -> None:
    """Nothing but InvalidKey comes out of reading a key."""
    with pytest.raises(InvalidKey):
        Ed25519Signer.from_pem(data)


@pytest.mark.parametrize(
    "name", ["example.com/consent", "localhost:8000/consent", "a", "Log.Example.com/x_y/z=1", "a" * 256]
)
def test_a_url_without_scheme_names_a_log(name: str) -> None:
    """The form that C2SP recommends for origin lines."""
    assert check_log_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "https://example.com/consent",
        "example.com/con sent",
        "example.com/con+sent",
        "example.com/",
        "/consent",
        "example.com/a\n",
        "exämple.com",
        "example.com?x",
        "a" * 257,
        "-a",
    ],
)
def test_what_a_checkpoint_cannot_carry_names_no_log(name: str) -> None:
    """Schemes, spaces, plus signs, and all that entries and cookies have no room for."""
    with pytest.raises(InvalidKey, match="cannot name a log"):
        check_log_name(name)
    with pytest.raises(InvalidKey):
        Keys.generate(name)


def test_a_mac_key_is_derived_for_its_scope() -> None:
    """HMAC-SHA-256 over label and scope, as other implementations compute it too."""
    ring = CookieKeys((key := CookieKey.generate(),))
    expected = hmac.new(key.secret, b"consentkit/cookie/1\nexample.com", hashlib.sha256).digest()
    assert ring.derive(key.key_id, "example.com") == expected
    assert ring.derive(key.key_id, "www.example.com") != expected


def test_an_unknown_cookie_key_derives_nothing() -> None:
    """A retired key id is an error for code, and None for a look-up."""
    ring = CookieKeys((CookieKey("aaaa", bytes(32)),))
    assert ring.find("bbbb") is None
    with pytest.raises(InvalidKey, match="no cookie key 'bbbb'"):
        ring.derive("bbbb", "example.com")


def test_no_process_meets_a_cookie_it_cannot_verify_during_a_rotation() -> None:
    """In every phase, whatever is signed by a process of this or the next phase is known to both."""
    new = CookieKey.generate()
    phases = [CookieKeys((CookieKey.generate(),))]
    phases.append(phases[-1].rotate_in(new))
    phases.append(phases[-1].sign_with(new.key_id))
    for before, after in pairwise(phases):
        assert after.find(before.signing.key_id)
        assert before.find(after.signing.key_id)
    assert phases[-1].signing.secret == new.secret
    assert phases[-1].without(phases[0].signing.key_id).keys == (new,)


def test_a_ring_has_exactly_one_key_that_signs() -> None:
    """None, two, or the same id twice are refused, and so is dropping the one that signs."""
    one, two = CookieKey("aaaa", bytes(32)), CookieKey("bbbb", bytes(32))
    for keys in ((), (one, two), (one, attrs.evolve(one, use="verify"))):
        with pytest.raises(InvalidKey):
            CookieKeys(keys)
    with pytest.raises(InvalidKey, match="exactly one"):
        CookieKeys((one,)).without("aaaa")
    with pytest.raises(InvalidKey, match="exactly one"):
        CookieKeys((one,)).sign_with("cccc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key_id": "toolong"}, "four"),
        ({"secret": b"short"}, "not 32"),
        ({"use": "both"}, "not sign or verify"),
    ],
)
def test_a_cookie_key_is_refused_when_a_part_is_wrong(change: dict[str, object], message: str) -> None:
    """Four characters, 32 bytes, one of two uses."""
    parts: dict[str, object] = {"key_id": "aaaa", "secret": bytes(32), "use": "sign"}
    with pytest.raises(InvalidKey, match=message):
        CookieKey(**(parts | change))  # type: ignore[arg-type]


def test_a_ring_survives_its_json() -> None:
    """What is written is what is read."""
    ring = CookieKeys((CookieKey.generate(),)).rotate_in(CookieKey.generate())
    assert CookieKeys.from_json(ring.to_json()) == ring


GOOD = json.loads(CookieKeys((CookieKey("aaaa", bytes(32)),)).to_json())


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"schema": "other", "keys": GOOD["keys"]},
        {"schema": GOOD["schema"], "keys": None},
        {"schema": GOOD["schema"], "keys": []},
        {"schema": GOOD["schema"], "keys": [{"id": 1, "use": "sign", "secret": "AAAA"}]},
        {"schema": GOOD["schema"], "keys": [{"id": "aaaa", "use": "sign", "secret": "not base64!"}]},
        {"schema": GOOD["schema"], "keys": [{"id": "aaaa", "use": ["sign"], "secret": "AAAA"}]},
    ],
)
def test_a_damaged_cookie_file_is_refused(document: object) -> None:
    """Whatever is wrong with it, it is InvalidKey, and the message repeats no secret."""
    with pytest.raises(InvalidKey) as caught:
        CookieKeys.from_json(json.dumps(document).encode())
    assert "not base64" not in str(caught.value)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_never_a_cookie_file(data: bytes) -> None:
    """Nothing but InvalidKey comes out of reading one."""
    with pytest.raises(InvalidKey):
        CookieKeys.from_json(data)


def test_a_deeply_nested_cookie_file_is_refused() -> None:
    """A parser that recurses must not take the process down."""
    with pytest.raises(InvalidKey):
        CookieKeys.from_json(b"[" * 100_000)
