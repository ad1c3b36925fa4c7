"""Trust policies: how a file becomes one, what its quorum demands, and what is said when it is not met."""

import base64
import contextlib
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit import tlog
from consentkit.errors import InvalidNote, InvalidProof, InvalidTrust
from tests.tlog.logs import SeedKey, checkpoint_of, cosigned, entries_of, log_signer, witness_key

LOG = log_signer().verifier
CHECKPOINT = checkpoint_of(entries_of(3))
NAMES = ["x1", "x2", "x3", "y1", "y2"]
WITNESSES = "".join(f"witness {name.upper()} {witness_key(name)}\n" for name in NAMES)
TWO_LEVELS = f"""\
# two organisations
log {LOG} https://log.example/

{WITNESSES}
group X 2 X1 X2 X3
\tgroup  Y any\tY1 Y2 \t
group both all X Y
quorum both
"""


class TestParse:
    def test_logs_witnesses_groups_and_quorum_are_read(self) -> None:
        """With comments, empty lines, tabs and URLs."""
        trust = tlog.TrustPolicy.parse(TWO_LEVELS.encode())
        assert trust.logs == (tlog.LogKey(LOG, "https://log.example/"),)
        assert trust.log_keys == (LOG,)
        assert trust.witnesses == tuple(tlog.Witness(name.upper(), witness_key(name)) for name in NAMES)
        assert trust.groups == (
            tlog.Group("X", 2, ("X1", "X2", "X3")),
            tlog.Group("Y", 1, ("Y1", "Y2")),
            tlog.Group("both", 2, ("X", "Y")),
        )
        assert trust.quorum == "both"

    def test_text_and_bytes_are_the_same_file(self) -> None:
        """Whichever the caller has read."""
        assert tlog.TrustPolicy.parse(TWO_LEVELS) == tlog.TrustPolicy.parse(TWO_LEVELS.encode())

    def test_the_last_newline_may_be_missing(self) -> None:
        """Editors forget it."""
        assert tlog.TrustPolicy.parse(TWO_LEVELS.rstrip()) == tlog.TrustPolicy.parse(TWO_LEVELS)

    def test_a_witness_may_have_a_url(self) -> None:
        """Where a log submits its checkpoints."""
        text = f"witness W {witness_key('w')} https://w.example/\nquorum W\n"
        assert tlog.TrustPolicy.parse(text).witnesses[0].url == "https://w.example/"

    def test_names_are_octets(self) -> None:
        """The letter K and the Kelvin sign are two names; so are two bytes that are no UTF-8."""
        keys = [str(witness_key(name)).encode() for name in NAMES[:4]]
        names = [b"K", "\N{KELVIN SIGN}".encode(), b"\xfe", b"\xff"]
        lines = [b"witness %b %b\n" % pair for pair in zip(names, keys, strict=True)]
        trust = tlog.TrustPolicy.parse(b"".join(lines) + b"group G all " + b" ".join(names) + b"\nquorum G\n")
        assert len(set(trust.groups[0].members)) == 4

    def test_thirty_two_of_each_are_supported(self) -> None:
        """As the specification asks."""
        lines = [f"log {log_signer(f'log{i}').verifier}" for i in range(32)]
        lines += [f"witness W{i} {witness_key(f'w{i}')}" for i in range(32)]
        lines += [f"group G{i} any W{i}" + (f" G{i - 1}" if i else "") for i in range(32)]
        trust = tlog.TrustPolicy.parse("\n".join([*lines, "quorum G31", ""]))
        note = tlog.sign_note(tlog.Checkpoint("log7", 1, bytes(32)).text(), log_signer("log7"))
        assert trust.check_quorum(cosigned(note, "w0")).satisfied
        assert not trust.check_quorum(note).satisfied

    @pytest.mark.parametrize(
        ("lines", "line"),
        [
            ([], 1),
            (["log {log}"], 2),
            (["quorum"], 1),
            (["quorum none none"], 1),
            (["quorum none", "quorum none"], 2),
            (["quorum W"], 1),
            (["quorum W", "witness W {w}"], 1),
            (["Log {log}", "quorum none"], 1),
            (["log", "quorum none"], 1),
            (["log {log} url more", "quorum none"], 1),
            (["log nonsense", "quorum none"], 1),
            (["log {log}", "log {log}", "quorum none"], 2),
            (["log {log}", "log {same_key}", "quorum none"], 2),
            (["witness W", "quorum none"], 1),
            (["witness W {w} url more", "quorum none"], 1),
            (["witness none {w}", "quorum none"], 1),
            (["witness W {log}", "quorum none"], 1),
            (["witness W {w}", "witness W {v}", "quorum none"], 2),
            (["witness W {w}", "witness V {w}", "quorum none"], 2),
            (["witness W {w}", "group W any W", "quorum none"], 2),
            (["witness W {w}", "group none any W", "quorum none"], 2),
            (["witness W {w}", "group G any", "quorum none"], 2),
            (["witness W {w}", "group G some W", "quorum none"], 2),
            (["witness W {w}", "group G 0 W", "quorum none"], 2),
            (["witness W {w}", "group G 2 W", "quorum none"], 2),
            (["witness W {w}", "group G 01 W", "quorum none"], 2),
            (["witness W {w}", "group G any W W", "quorum none"], 2),
            (["witness W {w}", "group G any none", "quorum none"], 2),
            (["witness W {w}", "group G any G", "quorum none"], 2),
            (["witness W {w}", "group G any V", "witness V {v}", "quorum none"], 2),
            (["witness W {w}", "group G any W", "group H any W", "quorum none"], 3),
            (["quorum none\r"], 1),
            (["# \x00", "quorum none"], 1),
            (["quorum none", "# \x7f"], 2),
        ],
    )
    def test_what_breaks_a_rule_is_refused_with_its_line(self, lines: list[str], line: int) -> None:
        """Each rule of the specification once."""
        same_key = tlog.VerifierKey("example.com/alias", tlog.Algorithm.ED25519, LOG.public_key)
        keys = {"log": LOG, "same_key": same_key, "w": witness_key("w"), "v": witness_key("v")}
        with pytest.raises(InvalidTrust) as caught:
            tlog.TrustPolicy.parse("".join(f"{text.format(**keys)}\n" for text in lines))
        assert caught.value.line == line

    def test_a_huge_file_is_refused(self) -> None:
        """Before it is read line by line."""
        with pytest.raises(InvalidTrust):
            tlog.TrustPolicy.parse(b"#" * 1_000_001)

    @given(st.binary() | st.lists(st.sampled_from(TWO_LEVELS.split(" "))).map(lambda w: " ".join(w).encode()))
    def test_arbitrary_bytes_never_raise_anything_else(self, data: bytes) -> None:
        """The file comes from an auditor's disk."""
        with contextlib.suppress(InvalidTrust):
            tlog.TrustPolicy.parse(data)


class TestQuorum:
    @given(st.sets(st.sampled_from(NAMES)))
    def test_groups_count_their_members(self, names: set[str]) -> None:
        """Two of X and one of Y, whoever they are."""
        result = tlog.TrustPolicy.parse(TWO_LEVELS).check_quorum(cosigned(CHECKPOINT, *sorted(names)))
        assert result.satisfied == (len(names & {"x1", "x2", "x3"}) >= 2 and bool(names & {"y1", "y2"}))
        assert result.found == tuple(name.upper() for name in NAMES if name in names)

    def test_the_answer_says_what_was_needed_and_when_it_was_seen(self) -> None:
        """Enough for a report."""
        result = tlog.TrustPolicy.parse(TWO_LEVELS).check_quorum(cosigned(CHECKPOINT, "x2", time=77))
        assert result.needed == "2 of (2 of (X1 X2 X3) 1 of (Y1 Y2))"
        assert result.cosigned == {"X2": 77}
        assert result.log_key == LOG
        assert result.checkpoint.size == 3

    def test_none_demands_nothing(self) -> None:
        """And says so."""
        result = tlog.TrustPolicy.parse(f"log {LOG}\nquorum none\n").check_quorum(CHECKPOINT)
        assert (result.satisfied, result.needed, result.found) == (True, "none", ())

    def test_a_missing_quorum_can_be_made_an_error(self) -> None:
        """Which names what is missing."""
        trust = tlog.TrustPolicy.parse(TWO_LEVELS)
        with pytest.raises(InvalidProof, match="found: X1"):
            trust.require_quorum(cosigned(CHECKPOINT, "x1"))
        assert trust.require_quorum(cosigned(CHECKPOINT, "x1", "x3", "y2")).satisfied

    def test_a_stranger_does_not_count(self) -> None:
        """Nor does a key of the witness's name."""
        trust = tlog.TrustPolicy.parse(f"log {LOG}\nwitness W {witness_key('w')}\nquorum W\n")
        impostor = tlog.cosign(CHECKPOINT, "w", SeedKey("impostor"), 1)
        assert not trust.check_quorum(cosigned(CHECKPOINT, "x1") + impostor).satisfied

    def test_witnesses_alone_do_not_make_a_checkpoint(self) -> None:
        """A log must have signed it, one that the policy lists."""
        trust = tlog.TrustPolicy.parse(TWO_LEVELS)
        other = checkpoint_of(entries_of(3), log_signer("example.com/other"))
        with pytest.raises(InvalidNote, match="no trusted key"):
            trust.check_quorum(cosigned(other, "x1", "x2", "y1"))

    def test_a_log_signs_under_its_own_name_only(self) -> None:
        """Trap: with two listed logs, one must not speak for the other."""
        one, two = log_signer("example.com/one"), log_signer("example.com/two")
        trust = tlog.TrustPolicy.parse(f"log {one.verifier}\nlog {two.verifier}\nquorum none\n")
        forged = tlog.sign_note(tlog.Checkpoint("example.com/two", 1, bytes(32)).text(), one)
        with pytest.raises(InvalidNote, match=r"example\.com/two"):
            trust.check_quorum(forged)

    def test_a_wrong_cosignature_spoils_the_checkpoint(self) -> None:
        """Whether or not the quorum needs it."""
        line = tlog.cosign(checkpoint_of(entries_of(4)), "x1", SeedKey("witness x1"), 1)
        with pytest.raises(InvalidNote, match="x1"):
            tlog.TrustPolicy.parse(TWO_LEVELS).check_quorum(tlog.add_signatures(CHECKPOINT, line))

    def test_a_log_without_logs_accepts_nothing(self) -> None:
        """A policy may leave its logs to the application; then the application must add them."""
        with pytest.raises(InvalidNote):
            tlog.TrustPolicy.parse("quorum none\n").check_quorum(CHECKPOINT)

    def test_one_key_may_be_log_and_witness(self) -> None:
        """Then its one signature counts as both, without being ambiguous."""
        key = tlog.VerifierKey(LOG.name, tlog.Algorithm.COSIGNATURE_V1, SeedKey("self").public_key)
        note = tlog.add_signatures(CHECKPOINT, tlog.cosign(CHECKPOINT, LOG.name, SeedKey("self"), 5))
        result = tlog.TrustPolicy.parse(f"log {key}\nwitness W {key}\nquorum W\n").check_quorum(note)
        assert (result.satisfied, result.log_key) == (True, key)


class TestRequests:
    def test_a_request_is_laid_out_as_recorded_ones_are(self, vectors: Path) -> None:
        """Old size, proof, a blank line, checkpoint: byte for byte (c2sp.org/tlog-witness)."""
        cases = json.loads((vectors / "tlog/witness-add-checkpoint.json").read_text())["cases"]
        assert cases
        for request in (case["request"] for case in cases):
            head, _, checkpoint = request.partition("\n\n")
            old, *lines = head.split("\n")
            proof = [base64.b64decode(line) for line in lines]
            size = int(old.removeprefix("old "))
            assert tlog.add_checkpoint_body(size, proof, checkpoint.encode()) == request.encode()

    @pytest.mark.parametrize(
        ("body", "size"),
        [
            (b"70000\n", 70_000),
            (b"0\n", 0),
            (b"", None),
            (b"\n", None),
            (b"70000", None),
            (b"070000\n", None),
            (b"-1\n", None),
            (b"7 \n", None),
            (b"9223372036854775808\n", None),
            ("\N{ARABIC-INDIC DIGIT SEVEN}\n".encode(), None),
            (b"7\n7\n", None),
        ],
    )
    def test_a_conflict_names_a_size_or_nothing(self, body: bytes, size: int | None) -> None:
        """Whatever else a server may answer 409 with."""
        assert tlog.parse_size(body) == size

    def test_a_witness_shows_a_log_under_the_digest_of_its_name(self) -> None:
        """In hex."""
        digest = sha256(b"example.com/log").hexdigest()
        assert tlog.monitoring_path("example.com/log") == f"{digest}/checkpoint"

    def test_signature_lines_are_parsed_as_a_note_s_are(self) -> None:
        """Each with its newline, and nothing between."""
        lines = cosigned(CHECKPOINT, "x1", "x2").removeprefix(CHECKPOINT)
        assert [line.name for line in tlog.parse_signatures(lines)] == ["x1", "x2"]
        for spoilt in (lines[:-1], lines + b"\n", b"\n" + lines, b"", lines.replace(b" x1 ", b" x1  ")):
            with pytest.raises(InvalidNote):
                tlog.parse_signatures(spoilt)
