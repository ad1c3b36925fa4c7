"""What the ledger says afterwards: the pack, the auditor's verdict on it, and on what was made of copies of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen

from consentkit.audit import AuditReport, audit
from consentkit.cli.demo_check.expect import Wrong, expect
from consentkit.cli.demo_check.forge import Pack, flip
from consentkit.cli.demo_check.page import parse_page
from consentkit.cli.demo_check.processes import Ran, consentkit
from consentkit.cli.demo_check.visitor import Decision
from consentkit.cli.demo_check.world import Check, World
from consentkit.keys import Ed25519Signer, Keys
from consentkit.tlog import TrustPolicy

__all__ = ["EVIDENCE", "random_flip"]

_FLIPS = 2
_OPENINGS = "openings/000.jsonl"
_NEVER = "0" * 64


def _pack(world: World) -> Path:
    pack = world.work / "pack"
    if not (pack / "log/checkpoint").exists():
        raise Wrong("the ledger was exported", f"a pack in {pack}", "none")
    return pack


def _audit(pack: Path, world: World) -> Ran:
    return consentkit("audit", str(pack), "--trust", str(world.folder.trust), "--json")


def exported(world: World) -> None:
    """`ledger export` writes a pack while the site goes on"""
    ran = consentkit("ledger", "export", world.folder.ledger, str(world.work / "pack"))
    expect("exit code of ledger export", (ran.code, ran.errors), (0, ""))
    _pack(world)


def audited(world: World) -> None:
    """`audit` verifies it with the trust file alone"""
    ran = _audit(_pack(world), world)
    expect("exit code of audit", (ran.code, ran.errors), (0, ""))
    report = json.loads(ran.output)
    expect("findings", report["findings"], [])
    expect("records in the log", report["log"]["entries"].get("record", 0), len(world.decisions))


def records_say_it(world: World) -> None:
    """There is one record for each decision, in order, and each says what its visitor chose on which notice"""
    pack = Pack(_pack(world), Keys.load(world.folder.keys))
    told = [_told(json.loads(_payload(one["record"]))) for one in pack.openings()]
    expect("the records", len(told), len(world.decisions))
    for place, (record, decision) in enumerate(zip(told, world.decisions, strict=True)):
        expect(f"record {place}", record, decision)


def _payload(jwt: str) -> bytes:
    payload = jwt.split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


def _told(claims: dict[str, Any]) -> Decision:
    choices: dict[str, dict[str, Any]] = claims["choices"]
    granted = frozenset(name for name, choice in choices.items() if choice["granted"])
    return Decision(
        claims["event"],
        granted,
        frozenset(choices) - granted,
        claims["region"],
        claims["notice"]["digest"] if claims["notice"] else "",
        claims["policy"]["digest"],
        claims["signals"]["shown"],
    )


def kept_notices(world: World) -> None:
    """The pack keeps each notice as it was shown, under the digest that the page named"""
    pack = _pack(world)
    seen = world.visitor("FR").see()
    digest = seen.banner("accept").fields["notice"]
    data = (pack / "notices" / f"{digest}.html").read_bytes()
    expect("sha-256 of the kept notice", sha256(data).hexdigest(), digest)
    kept = set(parse_page(data.decode("ascii")).texts[""])
    expect("words that were shown and not kept", set(seen.page.texts["ck-first"]) - kept, set())


def receipts(world: World) -> None:
    """A visitor's receipt verifies offline with the trust file"""
    answer = world.again("receipt").get("/consent/receipt")
    expect("GET /consent/receipt", answer.status, 200)
    file = world.work / "receipt.json"
    file.write_bytes(answer.response.content)
    ran = consentkit("receipt", "verify", str(file), "--trust", str(world.folder.trust))
    expect("exit code of receipt verify", (ran.code, ran.errors), (0, ""))
    receipt = json.loads(file.read_bytes())
    name, text = _longest(receipt)
    receipt[name] = (
        text[: len(text) // 2] + ("A" if text[len(text) // 2] != "A" else "B") + text[len(text) // 2 + 1 :]
    )
    file.write_text(json.dumps(receipt), "utf-8")
    ran = consentkit("receipt", "verify", str(file), "--trust", str(world.folder.trust))
    expect(f"exit code once a character of {name!r} was changed", ran.code, 1)


def _longest(receipt: dict[str, Any]) -> tuple[str, str]:
    return max(((k, v) for k, v in receipt.items() if isinstance(v, str)), key=lambda item: len(item[1]))


@frozen
class _Forgery:
    """One way to tamper with a pack: `make` does it and returns the file that an audit has to name.

    `code` is the exit code: 1 for what is wrong, 3 for what nobody vouches for.
    """

    title: str
    make: Callable[[Pack], str]
    code: int = 1


def _flipped(pattern: str, mark: bytes = b"") -> Callable[[Pack], str]:
    """Change a byte where `mark` begins, so that the file still reads as what it was."""

    def make(pack: Pack) -> str:
        file = pack.one(pattern)
        flip(file, file.read_bytes().index(mark))
        return file.relative_to(pack.folder).as_posix()

    return make


def _impostor(pack: Pack) -> str:
    pack.rebuild(pack.entries(), Ed25519Signer.generate())
    return "log/checkpoint"


def _reused(pack: Pack) -> str:
    pack.reuse_signature()
    return "log/checkpoint"


def _turned(claims: dict[str, Any]) -> None:
    for choice in claims["choices"].values():
        choice["granted"] = not choice["granted"]


def _resigned(pack: Pack) -> str:
    pack.rewrite_record(
        _last_of_its_history(pack), _turned, Ed25519Signer.generate(), claim=pack.keys.record.key_id
    )
    return _OPENINGS


def _unknown_key(pack: Pack) -> str:
    pack.rewrite_record(_last_of_its_history(pack), _turned, Ed25519Signer.generate())
    return _OPENINGS


def _saying(**claims: Any) -> Callable[[Pack], str]:
    """Let the first record say something else, signed with the true key."""

    def make(pack: Pack) -> str:
        pack.rewrite_record(_last_of_its_history(pack), lambda told: told.update(claims), pack.keys.record)
        return _OPENINGS

    return make


def _other_blind(pack: Pack) -> str:
    openings = pack.openings()
    blind = openings[1]["blind"]
    openings[1]["blind"] = ("A" if blind[0] != "A" else "B") + blind[1:]
    pack.write_openings(openings)
    return _OPENINGS


def _unopened(pack: Pack) -> str:
    pack.write_openings(pack.openings()[1:])
    return _OPENINGS


def _history_cut(pack: Pack) -> str:
    pack.drop_record(_followed(pack).index(True))
    return _OPENINGS


def _followed(pack: Pack) -> list[bool]:
    """Tell of each record whether a later one of the same visitor follows it."""
    openings, entries = pack.openings(), pack.entries()
    previous = {json.loads(_payload(one["record"]))["previous"] for one in openings}
    return [entries[one["index"]].split()[-1].decode() in previous for one in openings]


def _last_of_its_history(pack: Pack) -> int:
    """Return the place of a record that nothing follows, so that changing it breaks no history."""
    return _followed(pack).index(False)


def _stray(pack: Pack) -> str:
    (pack.folder / "openings/notes.txt").write_text("nothing to see here\n")
    return "openings/notes.txt"


_FORGERIES = (
    _Forgery("a head that another key signed in the log's name", _impostor),
    _Forgery("a head that took over the signature of another", _reused),
    _Forgery("a changed hash in a tile", _flipped("log/tile/0/**/*")),
    _Forgery("a changed entry in a bundle", _flipped("log/tile/entries/**/*", b"consentkit/1 record")),
    _Forgery("an opening that does not open its entry", _other_blind),
    _Forgery("a record that its operator rewrote, tree and all, without the record key", _resigned),
    _Forgery("a record under a key that the log never introduced", _unknown_key),
    _Forgery(
        "a record of a policy that was never in force", _saying(policy={"digest": _NEVER, "version": "1"})
    ),
    _Forgery(
        "a record of a notice that was never published",
        _saying(notice={"digest": _NEVER, "language": "en", "layout": "bar", "template": "consentkit/1"}),
    ),
    _Forgery("a record of another log", _saying(log="elsewhere.example/log")),
    _Forgery("a record without its opening", _unopened),
    _Forgery("a visitor's earlier record left out, tree and all", _history_cut),
    _Forgery("a changed policy", _flipped("policies/*", b"Quayside")),
    _Forgery("a changed notice", _flipped("notices/*", b"Quayside")),
    _Forgery("an earlier checkpoint changed", _flipped("checkpoints/*", b"\n\n")),
    _Forgery("a file that is no part of a pack", _stray, code=3),
)


def forgeries(world: World) -> None:
    """An audit sees through every forgery and names the file"""
    for number, forgery in enumerate(_FORGERIES):
        copy = _copy(world, f"forgery-{number}")
        file = forgery.make(copy)
        report = _judged(copy.folder, world)
        expect(f"exit code of an audit of {forgery.title}", report.exit_code, forgery.code)
        named = {finding.file for finding in report}
        expect(f"an audit of {forgery.title} names {file} (it named {named})", file in named, True)


def _copy(world: World, name: str) -> Pack:
    return Pack.copy(_pack(world), world.work / name, Keys.load(world.folder.keys))


def _judged(pack: Path, world: World, previous: bytes | None = None) -> AuditReport:
    """Audit a pack in this very process, which is quicker than by command."""
    return audit(pack, TrustPolicy.parse(world.folder.trust.read_bytes()), previous=previous)


def random_byte(world: World) -> None:
    """`audit` finds a changed byte at a random place, and names the file"""
    copies = [_copy(world, f"random-{number}") for number in range(_FLIPS)]
    flips = [(copy, *random_flip(copy, world.random)) for copy in copies]
    with ThreadPoolExecutor(_FLIPS) as pool:
        list(pool.map(lambda one: _expect_found(_audit(one[0].folder, world), one[2], one[1]), flips))


def _expect_found(ran: Ran, what: str, file: str) -> None:
    expect(f"exit code of audit with {what}", (ran.code, ran.errors), (1, ""))
    report = json.loads(ran.output)
    named = sorted({finding["file"] for finding in report["findings"] if finding["file"]})
    expect(f"audit names the file with {what} (it named {named})", file in named, True)


def random_flip(pack: Pack, source: Random) -> tuple[str, str]:
    """Change a byte of a random file, and say which and where."""
    file = source.choice(pack.files())
    place = source.randrange((pack.folder / file).stat().st_size)
    mask = source.randrange(1, 256)
    flip(pack.folder / file, place, mask)
    return file, f"byte {place} of {file} changed by 0x{mask:02x}"


def earlier_checkpoint(world: World) -> None:
    """A checkpoint kept earlier is extended by the true log, and by none that was cut short"""
    pack, cut = _pack(world), _copy(world, "cut")
    first = min((pack / "checkpoints").iterdir(), key=lambda path: int(path.name)).read_bytes()
    last = (pack / "log/checkpoint").read_bytes()
    cut.drop_record(-1)
    for what, folder, previous, code in (
        ("the true log against its first checkpoint", pack, first, 0),
        ("the true log against its last checkpoint", pack, last, 0),
        ("the log cut short, which nobody can tell without an earlier checkpoint", cut.folder, None, 0),
        ("the log cut short against the last checkpoint", cut.folder, last, 1),
    ):
        expect(f"exit code of an audit of {what}", _judged(folder, world, previous).exit_code, code)


EVIDENCE: tuple[Check, ...] = (
    exported,
    audited,
    records_say_it,
    kept_notices,
    receipts,
    forgeries,
    earlier_checkpoint,
    random_byte,
)
