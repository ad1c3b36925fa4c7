"""Witnesses: what a ledger asks of them, believes of them, and never waits for."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from consentkit.audit import audit
from consentkit.errors import InvalidKey, InvalidOption, LedgerUnavailable
from consentkit.evidence import verify_receipt
from consentkit.evidence._http import Unreachable, fetch
from consentkit.evidence.export import export
from consentkit.evidence.heads import best_covering
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.witness import Submitter, Witness
from consentkit.tlog import (
    Algorithm,
    Checkpoint,
    NoteSigner,
    TrustPolicy,
    VerifierKey,
    open_note,
    parse_note,
    parse_signatures,
    sign_note,
)
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, draft, signer
from tests.evidence.witnesses import WitnessServer, serving
from tests.support import ROOT

VERIFIER = NoteSigner(LOG, KEYS.log).verifier
Events = list[tuple[str, dict[str, object]]]


@pytest.fixture
def server() -> Iterator[WitnessServer]:
    """A witness that knows the log."""
    with serving("witness.example/one", VERIFIER) as one:
        yield one


@pytest.fixture
def other() -> Iterator[WitnessServer]:
    """Another one."""
    with serving("witness.example/two", VERIFIER) as one:
        yield one


@pytest.fixture
def events() -> Events:
    """What the ledger's event hook was told, in order."""
    return []


@pytest.fixture
def told(events: Events) -> Callable[..., None]:
    """The event hook."""
    return lambda event, **data: events.append((event, data))


def trust(*servers: WitnessServer, quorum: str = "all") -> TrustPolicy:
    """An auditor's trust file that names witnesses and demands a quorum of them."""
    names = [f"W{number}" for number in range(len(servers))]
    lines = [f"witness {name} {one.key} {one.url}/prefix" for name, one in zip(names, servers, strict=True)]
    return TrustPolicy.parse(
        "\n".join([f"log {VERIFIER}", *lines, f"group g {quorum} {' '.join(names)}", "quorum g", ""])
    )


def sizes(ledger: Ledger) -> list[int]:
    """The sizes of the cosigned checkpoints, newest first."""
    return [Checkpoint.parse(parse_note(note)[0]).size for note in ledger.cosigned()]


def forged(line: bytes) -> bytes:
    """A cosignature line with the witness's name, key id and time, and a signature of somebody else."""
    (true,) = parse_signatures(line)
    return attrs.evolve(true, data=true.data[:8] + signer("somebody else").sign(b"anything")).line()


def submitter(ledger: Ledger, server: WitnessServer, told: Callable[..., None], **parts: Any) -> Submitter:
    """What sends the ledger's heads to a witness, with a random source that repeats."""
    options = parts.pop("options", {})
    return Submitter(server.witness(**options), ledger._inside, told, random=Random(1), **parts)


class TestInTheBackground:
    def test_heads_are_cosigned_and_kept(
        self, open_ledger: OpenLedger, server: WitnessServer, other: WitnessServer
    ) -> None:
        """Under the log's key and the witnesses', each for the size that it was made for."""
        ledger = open_ledger(witnesses=[server.witness(), other.witness()])
        for size in (3, 4, 5):
            ledger.append(draft())
            for one in (server, other):
                one.wait(lambda one=one, size=size: one.size(LOG) == size)
        ledger.close()
        with Ledger.open(ledger._url, keys=KEYS) as again:
            assert set(sizes(again)) == {3, 4, 5}
            for note in again.cosigned():
                opened = open_note(note, [VERIFIER, server.key, other.key])
                assert opened.signed_by(VERIFIER)
                assert opened.signed_by(server.key)
            assert open_note(again.checkpoint(), [other.key]).signed_by(other.key)

    def test_no_decision_waits_for_a_witness(self, open_ledger: OpenLedger, server: WitnessServer) -> None:
        """One that never answers is a matter of its own thread."""
        asked, over = threading.Event(), threading.Event()

        def hang(_: bytes) -> tuple[int, bytes]:
            asked.set()
            over.wait(20)
            return 503, b""

        server.answers = [hang]
        ledger = open_ledger(witnesses=[server.witness()])
        ledger.append(draft())
        assert asked.wait(20)
        assert [ledger.append(draft()).index for _ in range(20)] == list(range(3, 23))
        over.set()

    def test_what_comes_in_quickly_goes_out_together(
        self, open_ledger: OpenLedger, server: WitnessServer
    ) -> None:
        """At most one head in an interval."""
        ledger = open_ledger(witnesses=[server.witness(interval=600)])
        for _ in range(10):
            ledger.append(draft())
        server.wait(lambda: server.size(LOG))
        for _ in range(10):
            ledger.append(draft())
        assert len(server.requests) == 1

    def test_a_ledger_without_witnesses_has_no_thread_for_them(self, open_ledger: OpenLedger) -> None:
        """And one with witnesses has none before its first decision, so that servers can fork."""
        open_ledger().append(draft())
        open_ledger(witnesses=[Witness("https://witness.example", witness_key())])
        assert not [thread.name for thread in threading.enumerate() if "witness" in thread.name]

    def test_closing_sends_what_is_new(self, open_ledger: OpenLedger, server: WitnessServer) -> None:
        """A script that appends and ends leaves a cosigned head behind; one in a row of many keeps the interval."""
        for _ in range(2):
            ledger = open_ledger(witnesses=[server.witness(interval=600)])
            ledger.append(draft())
            ledger.close()
        assert server.size(LOG) == 3
        assert len(server.requests) == 1

    def test_a_forked_worker_has_its_heads_cosigned(self, url: str, server: WitnessServer) -> None:
        """Its parent's thread does not exist in it."""
        program = (
            "import os, sys\n"
            "from tests.evidence.samples import KEYS, draft\n"
            "from consentkit.evidence.ledger import Ledger\n"
            "from consentkit.evidence.witness import Witness\n"
            "ledger = Ledger.open(sys.argv[1], keys=KEYS, witnesses=[Witness(*sys.argv[2:], interval=1e-6)])\n"
            "ledger.append(draft())\n"
            "if child := os.fork(): os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
            "ledger.append(draft())\n"
            "ledger.close()\n"
        )
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
        place = [url, f"{server.url}/prefix", str(server.key)]
        subprocess.run([*command, *place], cwd=ROOT, check=True, timeout=60)
        assert server.size(LOG) == 4

    def test_a_thread_that_asks_a_witness_imports_nothing(self) -> None:
        """A fork in the middle of an import would leave the child waiting for a lock that nobody holds."""
        program = (
            "import sys\n"
            "from consentkit.evidence._http import Unreachable, check_prefix, fetch\n"
            "url = check_prefix('http://localhost:9')\n"
            "known = set(sys.modules)\n"
            "try: fetch(url, b'', timeout=0.2)\n"
            "except Unreachable: print(sorted(set(sys.modules) - known))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert ran.stdout == "[]\n"

    def test_the_head_can_be_cosigned_at_once(self, open_ledger: OpenLedger, server: WitnessServer) -> None:
        """Before a pack is exported, say."""
        ledger = open_ledger(witnesses=[server.witness(interval=600)])
        note = ledger.cosign()
        assert open_note(note, [VERIFIER, server.key]).signed_by(server.key)
        assert ledger.cosign() == note
        assert len(server.requests) == 1


class TestSubmitting:
    def test_the_first_request_is_as_the_specification_has_it(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None]
    ) -> None:
        """`old 0`, no proof, a blank line, the checkpoint."""
        plain = ledger.checkpoint()
        submitter(ledger, server, told).step()
        assert server.requests == [b"old 0\n\n" + plain]
        assert ledger.checkpoint() != plain

    def test_it_goes_on_from_the_size_that_the_witness_names(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None], events: Events
    ) -> None:
        """As when an answer was lost, or another ledger process was quicker."""
        submitter(ledger, server, told, post=lambda *_, **__: (200, b"lost")).step()
        server.decide(b"old 0\n\n" + ledger.checkpoint())
        ledger.append(draft())
        submitter(ledger, server, told).step()
        assert [one.split(b"\n")[0] for one in server.requests] == [b"old 0", b"old 2"]
        assert sizes(ledger) == [3]

    def test_a_lost_answer_for_the_same_size_is_asked_for_again(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None]
    ) -> None:
        """With `old` equal to the size, and nothing to prove."""
        server.decide(b"old 0\n\n" + ledger.checkpoint())
        submitter(ledger, server, told).step()
        assert server.requests[-1].startswith(b"old 2\n\n")
        assert sizes(ledger) == [2]

    def test_a_head_that_is_cosigned_is_not_sent_again(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None]
    ) -> None:
        """Whichever process had it cosigned."""
        submitter(ledger, server, told).step()
        submitter(ledger, server, told).step()
        assert len(server.requests) == 1

    def test_the_interval_is_kept_by_all_processes_together(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None]
    ) -> None:
        """What counts is when the last cosignature in the store was made."""
        options = {"interval": 60.0}
        submitter(ledger, server, told, options=options).step()
        ledger.append(draft())
        following = submitter(ledger, server, told, options=options).step()
        assert len(server.requests) == 1
        assert following.more
        assert 55 < following.seconds < 75
        server.clock = lambda: 4_000_000_000.0  # a clock that is far ahead holds nobody up for longer
        submitter(ledger, server, told, now=lambda: 4_000_000_000.0).step()
        ledger.append(draft())
        following = submitter(ledger, server, told, options=options).step()
        assert following.seconds < 75

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
    def test_a_refusal_is_told_once(
        self,
        ledger: Ledger,
        server: WitnessServer,
        told: Callable[..., None],
        events: Events,
        status: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """However often it is repeated; and again when it was taken back in between."""
        one = submitter(ledger, server, told, options={"interval": 1e-6})
        server.answers = [(status, b"unwelcome\x1b[31m\nsecond line\n")] * 3
        with caplog.at_level(logging.WARNING):
            pauses = [one.step() for _ in range(3)]
        data = {"witness": server.name, "status": status, "reason": "unwelcome?[31m"}
        assert events == [("witness.refused", data)]
        assert len(caplog.records) == 1
        assert all(pause.more and pause.seconds >= 30 for pause in pauses)
        one.step()
        assert sizes(ledger) == [2]
        ledger.append(draft())
        server.answers = [(status, b"unwelcome\x1b[31m\n")]
        one.step()
        assert events == [("witness.refused", data)] * 2

    def test_a_witness_that_is_ahead_of_the_ledger_is_told_of(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None], events: Events
    ) -> None:
        """It has seen entries that are gone."""
        server.answers = [(409, b"70000\n")]
        submitter(ledger, server, told).step()
        assert events == [
            (
                "witness.refused",
                {
                    "witness": server.name,
                    "status": 409,
                    "reason": "it has cosigned 70000 entries, and the ledger has 2",
                },
            )
        ]

    def test_a_fork_is_told_of(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None], events: Events
    ) -> None:
        """The witness cosigned another log of that size."""
        forged = Checkpoint(LOG, 2, bytes(32)).text()
        server.decide(b"old 0\n\n" + sign_note(forged, NoteSigner(LOG, KEYS.log)))
        submitter(ledger, server, told).step()
        assert events == [
            ("witness.refused", {"witness": server.name, "status": 422, "reason": "inconsistent"})
        ]
        assert not ledger.cosigned()

    def test_a_witness_that_never_settles_is_given_up(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None], events: Events
    ) -> None:
        """For now: it is asked again later."""
        server.answers = [(409, b"1\n")] * 50
        following = submitter(ledger, server, told).step()
        assert following.more
        assert len(server.requests) < 6
        assert not events

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda line: line.replace(b"/one", b"/two"),
            forged,
            lambda line: line[:-90] + b"\n",
            lambda line: b"",
            lambda line: b"no signature line\n",
        ],
        ids=["another name", "a wrong signature", "a cut one", "nothing", "no line"],
    )
    def test_only_the_witness_s_own_valid_cosignature_is_believed(
        self,
        ledger: Ledger,
        server: WitnessServer,
        told: Callable[..., None],
        events: Events,
        spoil: Callable[[bytes], bytes],
    ) -> None:
        """Whatever else a witness answers with is a refusal, and nothing of it is kept."""
        server.answers = [lambda body: (200, spoil(server.decide(body)[1]))]
        submitter(ledger, server, told).step()
        assert [(event, data["status"]) for event, data in events] == [("witness.refused", 200)]
        assert not ledger.cosigned()

    def test_other_lines_of_an_answer_are_left_out(
        self, ledger: Ledger, server: WitnessServer, other: WitnessServer, told: Callable[..., None]
    ) -> None:
        """Nobody has verified them."""
        server.answers = [lambda body: (200, b"".join(one.decide(body)[1] for one in (other, server)))]
        submitter(ledger, server, told).step()
        assert [line.name for line in parse_note(ledger.checkpoint())[1]] == [LOG, server.name]

    def test_pauses_grow_and_differ_while_nobody_answers(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None], events: Events
    ) -> None:
        """Up to five minutes, and never all processes at once."""

        def post(*_: Any, **__: Any) -> tuple[int, bytes]:
            raise Unreachable("nobody there")

        one = submitter(ledger, server, told, post=post, now=lambda: 1e9)
        pauses = [one.step() for _ in range(40)]
        assert all(pause.more for pause in pauses)
        assert all(0.5 * 2**n <= pauses[n].seconds <= 2**n for n in range(8))
        assert min(pause.seconds for pause in pauses[-20:]) >= 150
        assert max(pause.seconds for pause in pauses) <= 300
        assert len({pause.seconds for pause in pauses[-20:]}) > 10
        assert not events

    def test_a_witness_that_is_late_is_told_of_once(
        self, ledger: Ledger, server: WitnessServer, told: Callable[..., None], events: Events
    ) -> None:
        """And not before it is."""
        now = [0.0]
        one = submitter(ledger, server, told, now=lambda: now[0], options={"late_after": 100.0})
        server.answers = [(503, b"full\n")] * 4
        for now[0] in (0.0, 99.0):
            assert one.step().seconds <= 100.0 - now[0]
            assert not events
        for now[0] in (100.0, 300.0):
            one.step()
        reason = f"{server.url}/prefix answers 503 full"
        assert events == [("witness.late", {"witness": server.name, "seconds": 100, "reason": reason})]

    def test_a_store_that_cannot_be_read_is_no_fault_of_the_witness(
        self,
        ledger: Ledger,
        server: WitnessServer,
        told: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is tried again; a closed ledger is not."""
        one = submitter(ledger, server, told)
        with monkeypatch.context() as patch:

            def broken() -> Any:
                raise LedgerUnavailable("the disk is gone")

            patch.setattr(ledger._store, "view", broken)
            assert one.step().more
        ledger.close()
        assert not one.step().more


class TestHandingOn:
    def test_the_auditor_s_quorum_is_met(
        self, open_ledger: OpenLedger, tmp_path: Path, server: WitnessServer, other: WitnessServer
    ) -> None:
        """The verdict says by whom."""
        ledger = open_ledger(witnesses=[server.witness(), other.witness()])
        ledger.append(draft(policy=publish(ledger), notice=None))
        ledger.cosign()
        ledger.export(tmp_path / "pack")
        report = audit(tmp_path / "pack", trust(server, other))
        assert (report.exit_code, [str(one) for one in report.findings]) == (0, [])
        details = {check.id: check.detail for check in report.checks}
        assert details["witnesses"] == "needs 2 of (W0 W1); cosigned by W0, W1"

    def test_a_tail_that_nobody_has_witnessed_is_named(
        self, open_ledger: OpenLedger, tmp_path: Path, server: WitnessServer
    ) -> None:
        """Nothing is wrong, but what was demanded cannot be shown for the newest entries."""
        ledger = open_ledger(witnesses=[server.witness(interval=600)])
        ledger.append(draft(policy=publish(ledger), notice=None))
        server.wait(
            lambda: server.requests
        )  # the first head goes out by itself, the next ones in ten minutes
        ledger.cosign()
        size = ledger.size
        ledger.append(draft(policy=publish(ledger), notice=None))
        ledger.append(draft(policy=publish(ledger), notice=None))
        ledger.export(tmp_path / "pack")
        report = audit(tmp_path / "pack", trust(server))
        assert report.exit_code == 3
        (finding,) = report.findings
        assert finding.id == "quorum-missing"
        assert f"checkpoints/{size}" in finding.message
        assert "2 entries" in finding.message

    def test_a_demanded_witness_that_never_cosigned_is_missed(
        self, open_ledger: OpenLedger, tmp_path: Path, server: WitnessServer, other: WitnessServer
    ) -> None:
        """One of two is not both."""
        ledger = open_ledger(witnesses=[server.witness()])
        ledger.append(draft(policy=publish(ledger), notice=None))
        ledger.cosign()
        ledger.export(tmp_path / "pack")
        report = audit(tmp_path / "pack", trust(server, other))
        assert (report.exit_code, [one.id for one in report.findings]) == (3, ["quorum-missing"])
        assert audit(tmp_path / "pack", trust(server, other, quorum="any")).exit_code == 0

    def test_a_forged_cosignature_is_found(
        self, open_ledger: OpenLedger, tmp_path: Path, server: WitnessServer
    ) -> None:
        """In the newest checkpoint as in any other."""
        ledger = open_ledger(witnesses=[server.witness()])
        ledger.append(draft(policy=publish(ledger), notice=None))
        ledger.cosign()
        ledger.append(draft(policy=publish(ledger), notice=None))
        ledger.cosign()
        ledger.export(tmp_path / "pack")
        for size, found in (
            (ledger.size, "checkpoint-invalid"),
            (ledger.size - 1, "past-checkpoint-invalid"),
        ):
            path = (
                tmp_path / "pack" / (f"checkpoints/{size}" if found.startswith("past") else "log/checkpoint")
            )
            good = path.read_bytes()
            text, (log, witness) = parse_note(good)
            forged = signer("somebody else").sign(b"cosignature/v1\ntime 1\n" + text)
            spoilt = type(witness)(witness.name, witness.key_id, bytes(7) + b"\1" + forged)
            path.write_bytes(text + b"\n" + log.line() + spoilt.line())
            assert found in [one.id for one in audit(tmp_path / "pack", trust(server)).findings]
            path.write_bytes(good)

    def test_a_pack_gets_cosignatures_that_came_in_later(
        self, open_ledger: OpenLedger, tmp_path: Path, server: WitnessServer, other: WitnessServer
    ) -> None:
        """Of a head that was exported before, by one witness and then another; checkpoints are no more than one a size."""
        pack = tmp_path / "pack"
        for witnesses in ([], [server.witness()], [other.witness()]):
            ledger = open_ledger(witnesses=witnesses)
            ledger.cosign()
            ledger.export(pack)
        keys = [VERIFIER, server.key, other.key]
        for place in ("log/checkpoint", "checkpoints/2"):
            note = open_note((pack / place).read_bytes(), keys)
            assert all(note.signed_by(key) for key in keys)
        before = (pack / "checkpoints/2").stat().st_mtime_ns
        export(ledger._url, pack)
        assert (pack / "checkpoints/2").stat().st_mtime_ns == before

    def test_a_receipt_is_proven_by_the_best_cosigned_head_that_covers_it(
        self, open_ledger: OpenLedger, server: WitnessServer, other: WitnessServer
    ) -> None:
        """A visitor whose trust file demands witnesses can verify it, even while the newest head has none."""
        ledger = open_ledger(witnesses=[server.witness(interval=600), other.witness(interval=600)])
        early = ledger.append(draft()).index
        ledger.cosign()
        other.answers = [(503, b"")]
        ledger.append(draft())
        ledger.cosign()
        late = ledger.append(draft()).index
        data = ledger.receipt(early).encode()
        assert verify_receipt(data, trust(server, other)).cosigned == ("W0", "W1")
        assert not parse_note(ledger.receipt(late).proof.checkpoint)[1][1:]
        with ledger._view() as view:
            assert best_covering(view, view.head(), late)[0] == late + 1


class TestWhoMayBeAWitness:
    @pytest.mark.parametrize(
        "url",
        [
            "http://witness.example/prefix",
            "ftp://witness.example/",
            "witness.example",
            "https://",
            "https://user@witness.example/",
            "https://witness.example/?a=b",
            "https://witness.example/#a",
            "https://witness.example:port/",
            "https://witness.example/a b",
            "https://witness.example/\r\nHost: other",
            "http://127.0.0.1.example/",
            "http://[::1",
            "",
        ],
    )
    def test_it_is_reached_by_https_or_on_this_machine(self, url: str) -> None:
        """So that nobody between can drop what it says, or see what it is sent."""
        with pytest.raises(InvalidOption):
            Witness(url, witness_key())

    @pytest.mark.parametrize(
        ("url", "kept"),
        [
            ("https://witness.example/prefix/", "https://witness.example/prefix"),
            ("HTTPS://witness.example", "https://witness.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://localhost", "http://localhost"),
        ],
    )
    def test_its_url_is_a_prefix(self, url: str, kept: str) -> None:
        """With or without a final slash."""
        assert Witness(url, witness_key()).url == kept

    def test_its_key_is_that_of_a_witness(self) -> None:
        """A log's key signs something else."""
        with pytest.raises(InvalidKey, match="is a log's key"):
            Witness("https://witness.example", VERIFIER)
        assert Witness("https://witness.example", str(witness_key())).key == witness_key()

    def test_a_key_that_cannot_be_verified_under_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its cosignatures would all be ignored, without a word."""
        monkeypatch.setattr("consentkit.tlog._mldsa.load", lambda _: None)
        with pytest.raises(InvalidKey, match="cannot be verified here"):
            Witness("https://witness.example", VerifierKey("pq", Algorithm.ML_DSA_44, bytes(1312)))

    @pytest.mark.parametrize("option", ["interval", "timeout", "late_after"])
    def test_its_times_are_more_than_nothing(self, option: str) -> None:
        """An interval of nothing would never leave it alone."""
        with pytest.raises(ValueError, match=option):
            Witness("https://witness.example", witness_key(), **{option: 0})

    def test_auditor_and_ledger_can_share_a_file(self, server: WitnessServer) -> None:
        """A witness without a URL is the auditor's alone."""
        policy = TrustPolicy.parse(
            f"witness A {server.key} {server.url}\nwitness B {witness_key()}\nquorum none\n"
        )
        assert Witness.of_trust(policy) == (Witness(server.url, server.key),)


class TestRequests:
    def test_a_redirect_is_an_answer_and_not_followed(self, server: WitnessServer) -> None:
        """Nobody but the witness is asked, whatever it says."""
        server.answers = [(307, b"")]
        assert fetch(f"{server.url}/prefix/add-checkpoint", b"x", timeout=5) == (307, b"")
        assert server.requests == [b"x"]

    def test_an_answer_of_any_length_is_not_read(self, server: WitnessServer) -> None:
        """256 KiB are more than any witness has to say."""
        server.answers = [(200, b"x" * 300_000)]
        with pytest.raises(Unreachable, match="more than 262144 bytes"):
            fetch(f"{server.url}/prefix/add-checkpoint", b"x", timeout=5)

    def test_an_answer_that_trickles_in_is_given_up(self, server: WitnessServer) -> None:
        """Each byte is in time, and all of them are not."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=trickle, args=[listener])
            thread.start()
            with pytest.raises(Unreachable, match="takes too long"):
                fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.3)
        thread.join()

    def test_nobody_there_is_said_so(self, free_port: int) -> None:
        """With the address."""
        with pytest.raises(Unreachable, match=f"127.0.0.1:{free_port}/.*refused"):
            fetch(f"http://127.0.0.1:{free_port}/", timeout=5)

    def test_a_certificate_is_verified(self, server: WitnessServer) -> None:
        """What speaks no TLS, or not as the address says, is not listened to."""
        with pytest.raises(Unreachable, match=r"(?i)ssl"):
            fetch(server.url.replace("http:", "https:"), timeout=5)


class TestTheDouble:
    def test_it_answers_as_others_witnesses_do(self, vectors: Path) -> None:
        """Recorded exchanges of torchwood's witness; for an unknown log the specification says 404 by now."""
        document = json.loads((vectors / "tlog/witness-add-checkpoint.json").read_text())
        name = document["cases"][0]["request"].split("\n")[2]
        key = VerifierKey(name, Algorithm.ED25519, bytes.fromhex(document["log_ed25519_pubkey_hex"]))
        double = WitnessServer("example.com/witness", key)
        for case in document["cases"]:
            status, body = double.add_checkpoint(case["request"].encode())
            unknown = not case["request"].partition("\n\n")[2].startswith(f"{name}\n")
            assert status == (404 if unknown else case["status"])
            if status in (200, 409):
                assert case.get("body_contains", case.get("body_equals")).encode() in body


def witness_key() -> VerifierKey:
    return VerifierKey("witness.example", Algorithm.COSIGNATURE_V1, signer("witness").public_key)


def trickle(listener: socket.socket) -> None:
    """Answer one request a byte at a time, until nobody listens any more."""
    with listener.accept()[0] as connection, contextlib.suppress(OSError):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        while True:
            time.sleep(0.05)
            connection.sendall(b"x")


def publish(ledger: Ledger) -> tuple[str, str]:
    """Publish a policy, once, and return how records name it."""
    from consentkit.policy import Policy

    policy = Policy.load(ROOT / "examples/policies/small-blog.json")
    ledger.publish_policy(policy)
    return policy.digest, policy.version
