"""Notes, checkpoints and cosignatures: what is accepted, and everything else that is not."""

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consentkit import tlog
from consentkit.errors import InvalidKey, InvalidNote
from tests.tlog.logs import SeedKey, checkpoint_of, cosigned, entries_of, flip, log_signer, witness_key

mldsa = pytest.importorskip(
    "cryptography.hazmat.primitives.asymmetric.mldsa", reason="no ML-DSA in cryptography"
)

TEXT = b"example.com/log\n1\nthe text is free\n"
SIGNER = log_signer()
KEY = SIGNER.verifier
NOTE = tlog.sign_note(TEXT, SIGNER)
CHECKPOINT = checkpoint_of(entries_of(5))

names = st.text(min_size=1).filter(lambda s: not any(c.isspace() or c < " " or c == "+" for c in s))
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], min_codepoint=32) | st.just("\n")
).map(lambda text: f"{text}\n".encode())


class TestVerifierKey:
    @given(
        names, st.integers(0, 999), st.sampled_from([tlog.Algorithm.ED25519, tlog.Algorithm.COSIGNATURE_V1])
    )
    def test_text_form_round_trips(self, name: str, seed: int, algorithm: tlog.Algorithm) -> None:
        """The base64 part may hold plus signs of its own."""
        key = tlog.VerifierKey(name, algorithm, SeedKey(str(seed)).public_key)
        assert tlog.VerifierKey.parse(str(key)) == key

    def test_the_key_id_depends_on_name_and_type(self) -> None:
        """One key may serve as log and witness, under two ids."""
        raw = SeedKey("x").public_key
        ids = {
            tlog.VerifierKey(name, algorithm, raw).key_id
            for name in ("a", "b")
            for algorithm in (tlog.Algorithm.ED25519, tlog.Algorithm.COSIGNATURE_V1)
        }
        assert len(ids) == 4

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2028", "a\n", "a\x1f", "\udcff"])
    def test_a_name_that_a_signature_line_cannot_hold_is_refused(self, name: str) -> None:
        """Spaces of any kind, plus signs, control characters, and what is not UTF-8."""
        with pytest.raises(InvalidKey):
            tlog.VerifierKey(name, tlog.Algorithm.ED25519, KEY.public_key)

    def test_a_small_order_key_is_refused(self) -> None:
        """Trap: 01 00..00 would verify arbitrary notes."""
        raw = bytes([1]) + bytes(31)
        with pytest.raises(InvalidKey, match="small order"):
            tlog.VerifierKey("example.com/log", tlog.Algorithm.COSIGNATURE_V1, raw)

    def test_a_short_ml_dsa_key_is_refused(self) -> None:
        """1312 bytes, no other length."""
        with pytest.raises(InvalidKey, match="1312"):
            tlog.VerifierKey("w", tlog.Algorithm.ML_DSA_44, bytes(1311))

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace("+", " ", 1),
            lambda text: text.rpartition("+")[0],
            lambda text: text.rstrip("=") + "A",
            lambda text: text + "\n",
            lambda text: text.replace(KEY.key_id.hex(), KEY.key_id.hex().upper()),
            lambda text: text.replace(KEY.key_id.hex(), "00000000"),
            lambda text: f"x{text}",
            lambda text: "",
            lambda text: "a+b+",
            lambda text: f"x+00000000+{base64.b64encode(bytes([2]) + KEY.public_key).decode()}",
        ],
    )
    def test_any_other_spelling_is_refused(self, change) -> None:
        """One key, one text."""
        with pytest.raises(InvalidKey):
            tlog.VerifierKey.parse(change(str(KEY)))

    @given(st.text() | st.text("+ABab01=/", max_size=80))
    def test_arbitrary_text_never_raises_anything_else(self, text: str) -> None:
        """A vkey comes from a person."""
        with pytest.raises(InvalidKey):
            tlog.VerifierKey.parse(text)


class TestOpenNote:
    @example(b"a\n\nb\n\n", ["signer"])
    @given(texts, st.lists(names, min_size=1, max_size=4, unique=True))
    def test_what_is_signed_opens(self, text: bytes, signers: list[str]) -> None:
        """Texts with blank lines of their own too: the last blank line separates."""
        signing = [log_signer(name) for name in signers]
        note = tlog.open_note(tlog.sign_note(text, *signing), [signer.verifier for signer in signing])
        assert note.text == text
        assert [signature.name for signature in note.verified] == signers
        assert note.unverified == ()

    @given(st.integers(0, len(NOTE) * 8 - 1))
    def test_one_changed_bit_is_noticed(self, bit: int) -> None:
        """Anywhere: text, blank line, dash, name, key id, signature, base64 padding, newline."""
        with pytest.raises(InvalidNote):
            tlog.open_note(flip(NOTE, bit), [KEY])

    def test_a_key_that_shares_only_name_or_only_id_is_another_key(self) -> None:
        """Its line is kept, unverified, and counts for nothing."""
        namesake = tlog.NoteSigner(KEY.name, SeedKey("other"))
        twin = tlog.Signature("other", KEY.key_id, bytes(64)).line()
        data = tlog.add_signatures(tlog.sign_note(TEXT, namesake, SIGNER), twin)
        note = tlog.open_note(data, [KEY])
        assert [signature.key_id for signature in note.verified] == [KEY.key_id]
        assert {signature.name for signature in note.unverified} == {KEY.name, "other"}
        with pytest.raises(InvalidNote, match="known key"):
            tlog.open_note(tlog.add_signatures(tlog.sign_note(TEXT, namesake), twin), [KEY])

    def test_one_wrong_signature_of_a_known_key_spoils_the_note(self) -> None:
        """Even beside a right one: somebody is lying."""
        wrong = tlog.Signature(KEY.name, KEY.key_id, bytes(64)).line()
        with pytest.raises(InvalidNote, match="wrong"):
            tlog.open_note(NOTE + wrong, [KEY])

    def test_a_signature_twice_counts_once(self) -> None:
        """As many times as it stands there."""
        assert len(tlog.open_note(NOTE + NOTE.rpartition(b"\n\n")[2], [KEY]).verified) == 1

    def test_two_known_keys_of_one_name_and_id_are_ambiguous(self) -> None:
        """The caller's mistake, refused before anything is verified."""
        with pytest.raises(InvalidNote, match="share"):
            tlog.open_note(NOTE, [KEY, KEY])

    @pytest.mark.parametrize("count", [16, 100])
    def test_many_signatures_are_accepted(self, count: int) -> None:
        """The specification demands 16."""
        signers = [log_signer(f"s{index}") for index in range(count)]
        assert (
            len(tlog.open_note(tlog.sign_note(TEXT, *signers), [signers[-1].verifier]).unverified)
            == count - 1
        )

    def test_too_many_signatures_are_refused(self) -> None:
        """A cap on the work that a stranger can cause."""
        line = NOTE.rpartition(b"\n\n")[2]
        with pytest.raises(InvalidNote, match="more than 100"):
            tlog.open_note(TEXT + b"\n" + line * 101, [KEY])

    def test_a_huge_note_is_refused(self) -> None:
        """Before it is parsed."""
        with pytest.raises(InvalidNote, match="bytes"):
            tlog.open_note(b"x" * (tlog.MAX_NOTE_BYTES + 1), [KEY])

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\n",
            b"\n\n",
            TEXT,
            TEXT + b"\n",
            NOTE[:-1],
            NOTE + b"\n",
            NOTE.replace(b"\n", b"\r\n"),
            NOTE.replace("\N{EM DASH}".encode(), b"-"),
            NOTE.replace(b"free", b"fr\xffe"),
            NOTE.replace(b"free", b"fr\tee"),
            NOTE + "\N{EM DASH} name\n".encode(),
            NOTE + "\N{EM DASH} name AAAA\n".encode(),
            NOTE + "\N{EM DASH}  AAAAAAAAAAA=\n".encode(),
            NOTE + "\N{EM DASH} a+b AAAAAAAAAAA=\n".encode(),
            NOTE + "\N{EM DASH} name AAAAAAAAAAB=\n".encode(),
            NOTE + "\N{EM DASH} name AAAAAAAAAAA\n".encode(),
        ],
    )
    def test_a_malformed_note_is_refused(self, data: bytes) -> None:
        """However good the one signature in it is."""
        with pytest.raises(InvalidNote):
            tlog.open_note(data, [KEY])

    @given(
        st.binary()
        | st.binary().map(lambda tail: NOTE + tail)
        | st.binary().map(lambda head: head + NOTE[-120:])
    )
    def test_arbitrary_bytes_never_raise_anything_else(self, data: bytes) -> None:
        """Notes come from the network."""
        with contextlib.suppress(InvalidNote):
            assert tlog.open_note(data, [KEY]).verified

    @pytest.mark.parametrize("text", [b"no newline", b"tab\there\n", b"\xff\n", b""])
    def test_a_text_that_no_note_can_hold_is_not_signed(self, text: bytes) -> None:
        """A signature over it would only confuse."""
        with pytest.raises(InvalidNote):
            tlog.sign_note(text, SIGNER)


class TestAddSignatures:
    def test_lines_are_added_once(self) -> None:
        """A witness that answers twice leaves one line."""
        line = tlog.cosign(CHECKPOINT, "w", SeedKey("witness w"), 1)
        once = tlog.add_signatures(CHECKPOINT, line)
        assert once == CHECKPOINT + line
        assert tlog.add_signatures(once, line + line) == once

    def test_garbage_is_refused(self) -> None:
        """What a witness returns is not trusted to be signature lines."""
        for lines in (b"", b"not found\n", b"\xff\n", NOTE):
            with pytest.raises(InvalidNote):
                tlog.add_signatures(CHECKPOINT, lines)

    def test_the_cap_holds(self) -> None:
        """A note that nobody could open is not made."""
        lines = b"".join(tlog.Signature(f"n{i}", bytes(4), bytes(64)).line() for i in range(100))
        with pytest.raises(InvalidNote, match="more than 100"):
            tlog.add_signatures(CHECKPOINT, lines)


class TestCheckpoint:
    @given(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], min_codepoint=32), min_size=1),
        st.integers(1, 2**63 - 1),
        st.binary(min_size=32, max_size=32),
        st.lists(st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1), max_size=3),
    )
    def test_text_round_trips(self, name: str, size: int, root: bytes, extensions: list[str]) -> None:
        """Extension lines are kept."""
        checkpoint = tlog.Checkpoint(name, size, root, tuple(extensions))
        assert tlog.Checkpoint.parse(checkpoint.text()) == checkpoint

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"log\n1\n",
            b"log\n1\n%b",
            b"\n1\n%b\n",
            b"log\n\n%b\n",
            b"log\n01\n%b\n",
            b"log\n+1\n%b\n",
            b"log\n-1\n%b\n",
            b"log\n1 \n%b\n",
            "log\n\N{ARABIC-INDIC DIGIT ONE}\n%b\n".encode(),
            b"log\n9223372036854775808\n%b\n",
            b"log\n1\n%b\n\n",
            b"log\n1\n%b\n\nx\n",
            b"log\n1\nAAAA\n",
            b"log\n1\n!\n",
            b"log\n0\n%b\n",
        ],
    )
    def test_any_other_text_is_refused(self, text: bytes) -> None:
        """The last case: an empty tree with a root that is not the hash of nothing."""
        root = base64.b64encode(bytes(32))
        with pytest.raises(InvalidNote):
            tlog.Checkpoint.parse(text.replace(b"%b", root))

    def test_it_opens_under_the_logs_key(self) -> None:
        """And says which tree the log vouches for."""
        entries = entries_of(5)
        expected = tlog.Checkpoint(KEY.name, 5, tlog.tree_root(tlog.leaf_hashes(entries)))
        assert tlog.open_checkpoint(CHECKPOINT, KEY) == expected

    def test_a_checkpoint_of_another_log_is_refused(self) -> None:
        """A key signs for the log that it is named after, unless the caller says otherwise."""
        note = tlog.sign_note(tlog.Checkpoint("example.com/other", 1, bytes(32)).text(), SIGNER)
        with pytest.raises(InvalidNote, match=r"example\.com/other"):
            tlog.open_checkpoint(note, KEY)
        assert tlog.open_checkpoint(note, KEY, log_name="example.com/other").size == 1

    @given(st.binary() | st.binary().map(lambda tail: b"log\n1\n" + tail))
    def test_arbitrary_bytes_never_raise_anything_else(self, data: bytes) -> None:
        """A checkpoint is parsed before it is trusted."""
        with pytest.raises(InvalidNote):
            tlog.Checkpoint.parse(data)


class TestCosignature:
    @given(st.integers(0, 2**63 - 1))
    def test_its_time_is_told(self, time: int) -> None:
        """The time is part of what was signed."""
        note = tlog.open_note(cosigned(CHECKPOINT, "w", time=time), [witness_key("w")])
        assert [signature.time for signature in note.verified] == [time]

    def test_a_plain_signature_has_no_time(self) -> None:
        """Only witnesses say when."""
        assert [signature.time for signature in tlog.open_note(NOTE, [KEY]).verified] == [None]

    @given(st.integers(0, 72 * 8 - 1))
    def test_one_changed_bit_is_noticed(self, bit: int) -> None:
        """In the time as in the signature."""
        line = tlog.cosign(CHECKPOINT, "w", SeedKey("witness w"), 2**62)
        data = flip(base64.b64decode(line.split()[2])[4:], bit)
        key = witness_key("w")
        assert not key.verify(tlog.parse_note(CHECKPOINT)[0], data)

    def test_of_two_cosignatures_of_a_witness_the_first_is_reported(self) -> None:
        """It may have been asked twice; it still is one witness."""
        note = cosigned(cosigned(CHECKPOINT, "w", time=1), "w", time=2)
        assert [signature.time for signature in tlog.open_note(note, [witness_key("w")]).verified] == [1]

    @pytest.mark.parametrize("time", [-1, 2**63])
    def test_a_time_out_of_range_is_not_signed(self, time: int) -> None:
        """The specification's limit, below which all languages agree."""
        with pytest.raises(InvalidNote):
            tlog.cosign(CHECKPOINT, "w", SeedKey("witness w"), time)

    def test_a_signature_over_a_time_out_of_range_is_refused(self) -> None:
        """However valid otherwise."""
        text, time = tlog.parse_note(CHECKPOINT)[0], 2**63
        data = time.to_bytes(8, "big") + SeedKey("witness w").sign(
            b"cosignature/v1\ntime %d\n%b" % (time, text)
        )
        assert not witness_key("w").verify(text, data)

    def test_it_covers_extension_lines(self) -> None:
        """The whole text, as the specification says, not its first three lines."""
        text = tlog.Checkpoint("example.com/log", 1, bytes(32), ("more",)).text()
        line = tlog.cosign(tlog.sign_note(text, SIGNER), "w", SeedKey("witness w"), 1)
        data = base64.b64decode(line.split()[2])[4:]
        assert witness_key("w").verify(text, data)
        assert not witness_key("w").verify(text.replace(b"more", b"less"), data)

    def test_what_is_no_checkpoint_is_not_cosigned(self) -> None:
        """A cosignature speaks about a tree."""
        with pytest.raises(InvalidNote):
            tlog.cosign(NOTE, "w", SeedKey("witness w"), 1)

    def test_a_log_signature_is_no_cosignature(self) -> None:
        """The same key in another role verifies nothing."""
        key = SeedKey("both")
        text = tlog.parse_note(CHECKPOINT)[0]
        assert not tlog.VerifierKey("w", tlog.Algorithm.COSIGNATURE_V1, key.public_key).verify(
            text, key.sign(text)
        )
