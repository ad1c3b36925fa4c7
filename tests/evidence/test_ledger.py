"""The ledger: every decision becomes an entry, in order, once, and can be proven from then on."""

import asyncio
import logging
import os
import threading
from datetime import timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from consentkit.errors import (
    InvalidKey,
    InvalidLog,
    InvalidRecord,
    LedgerBusy,
    LedgerClosed,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
)
from consentkit.evidence import _sqlite_file
from consentkit.evidence.batch import MAX_SKEW, RecordWork
from consentkit.evidence.entry import (
    KeyEntry,
    NoticeEntry,
    PolicyEntry,
    RecordEntry,
    entry_line,
    parse_entry,
)
from consentkit.evidence.ledger import Ledger, system_clock
from consentkit.evidence.record import disclosed, verify_record
from consentkit.keys import Keys
from consentkit.tlog import NoteSigner, leaf_hash, open_checkpoint, tree_root
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, NOW, draft, history, signer
from tests.support import Clock

VERIFIER = NoteSigner(LOG, KEYS.log).verifier


def check(ledger: Ledger) -> int:
    """Check the whole log: its head is signed, and it is the head of these entries. Returns its size."""
    checkpoint = open_checkpoint(ledger.checkpoint(), VERIFIER)
    lines = ledger.entries(0, checkpoint.size + 1)
    assert len(lines) == checkpoint.size
    assert tree_root(map(leaf_hash, lines)) == checkpoint.root
    for index, line in enumerate(lines):
        if isinstance(parse_entry(line), RecordEntry):
            opening = ledger.opening(index)
            assert opening is not None
            assert entry_line(opening.commitment) == line
    return checkpoint.size


def policy(name: str = "one") -> Any:
    """What a ledger needs of a policy."""
    body = f'{{"version":"{name}"}}'.encode()
    return SimpleNamespace(digest=sha256(body).hexdigest(), version=name, canonical=body)


def test_a_new_ledger_introduces_its_keys(ledger: Ledger) -> None:
    """The log key first, then the record key, under the log's name."""
    log, record = (parse_entry(line) for line in ledger.entries(0, 9))
    assert log == KeyEntry("add", "log", KEYS.log.key_id, KEYS.log.public_key)
    assert record == KeyEntry("add", "record", KEYS.record.key_id, KEYS.record.public_key)
    assert (ledger.log_name, check(ledger)) == (LOG, 2)


def test_an_appended_decision_is_in_the_log(ledger: Ledger, clock: Clock) -> None:
    """Signed, committed to by the entry at its index, and revealed by its opening."""
    name = history()
    appended = ledger.append(draft(history=name))
    assert (appended.index, appended.time, ledger.size) == (2, clock.now, 3)
    claims = verify_record(appended.record.jwt, KEYS.record.public_key)
    assert claims["log"] == LOG
    assert disclosed(claims, appended.record.disclosures) == {"history": name}
    assert parse_entry(ledger.entries(2, 3)[0]) == RecordEntry(appended.opening.commitment)
    assert ledger.opening(2) == appended.opening
    assert check(ledger) == 3


def test_the_records_of_a_history_are_a_chain(ledger: Ledger) -> None:
    """Each has the next number and the commitment of the one before; other histories do not matter."""
    name = history()
    chain = [ledger.append(draft(history=name)), ledger.append(draft()), ledger.append(draft(history=name))]
    futures = [ledger.submit(draft(history=name)) for _ in range(5)]
    chain = [chain[0], chain[2], *(future.result() for future in futures)]
    previous = None
    for number, appended in enumerate(chain):
        claims = appended.record.claims
        assert (claims["sequence"], claims["previous"]) == (number, previous)
        previous = ledger.entries(appended.index, appended.index + 1)[0].decode().split()[2]


def test_two_records_of_the_same_decision_cannot_be_linked_by_their_entries(ledger: Ledger) -> None:
    """Blinds, salts and ids are random: equal decisions have nothing in common in the tree."""
    same = draft()
    one, two = ledger.append(same), ledger.append(same)
    assert one.opening.blind != two.opening.blind
    assert one.record.disclosures != two.record.disclosures
    assert one.record.claims["id"] != two.record.claims["id"]


def test_the_order_of_submission_is_the_order_of_the_log(ledger: Ledger) -> None:
    """For what one thread hands over."""
    futures = [ledger.submit(draft()) for _ in range(600)]
    assert [future.result().index for future in futures] == list(range(2, 602))
    assert check(ledger) == 602


def test_many_threads_append_densely(ledger: Ledger) -> None:
    """Every index once, each thread told about its own record."""
    seen: list[tuple[int, str]] = []

    def work() -> None:
        for _ in range(20):
            name = history()
            appended = ledger.append(draft(history=name))
            told = disclosed(appended.record.claims, appended.record.disclosures)
            seen.append((appended.index, told["history"]))
            assert told["history"] == name

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(index for index, _ in seen) == list(range(2, 162))
    assert check(ledger) == 162


def test_tasks_append_without_blocking_their_loop(ledger: Ledger) -> None:
    """And a task that was cancelled meanwhile does no harm to the others."""

    async def scenario() -> list[int]:
        gone = asyncio.ensure_future(ledger.aappend(draft()))
        tasks = [asyncio.ensure_future(ledger.aappend(draft())) for _ in range(50)]
        await asyncio.sleep(0)
        gone.cancel()
        return [appended.index for appended in await asyncio.gather(*tasks)]

    assert sorted(asyncio.run(scenario())) == list(range(3, 53))
    assert check(ledger) == 53


def test_a_loop_that_was_closed_meanwhile_does_no_harm(ledger: Ledger) -> None:
    """Its tasks are gone; what they handed over is recorded."""

    async def leave() -> None:
        left.append(asyncio.ensure_future(ledger.aappend(draft())))
        await asyncio.sleep(0)

    left: list[asyncio.Future[Any]] = []
    with ledger._gate:
        asyncio.run(leave())
    assert ledger.append(draft()).index == 3
    assert check(ledger) == 4


def test_an_error_reaches_the_task_that_waits(ledger: Ledger) -> None:
    """As it would have reached a thread."""
    with pytest.raises(InvalidRecord, match="event"):
        asyncio.run(ledger.aappend(draft(event="agreed")))


def test_a_reopened_ledger_goes_on_where_it_stopped(open_ledger: OpenLedger, clock: Clock) -> None:
    """With the same entries, the same tails of histories, and no key introduced twice."""
    name = history()
    first = open_ledger()
    before = first.append(draft(history=name))
    entries = first.entries(0, 9)
    first.close()
    clock.advance(timedelta(days=1))
    again = open_ledger()
    assert again.entries(0, 9) == entries
    assert again.opening(2) == before.opening
    assert again.append(draft(history=name)).record.claims["sequence"] == 1
    assert check(again) == 4


def test_a_draft_that_no_record_may_say_fails_alone(ledger: Ledger) -> None:
    """Its neighbours in the batch are recorded."""
    with ledger._gate:
        futures = [ledger.submit(draft(event=event)) for event in ("given", "agreed", "refused")]
    assert [futures[0].result().index, futures[2].result().index] == [2, 3]
    with pytest.raises(InvalidRecord, match="event"):
        futures[1].result()
    assert check(ledger) == 4


def test_a_batch_of_nothing_but_errors_writes_nothing(ledger: Ledger) -> None:
    """No entry, no new head."""
    before = ledger.checkpoint()
    with pytest.raises(InvalidRecord):
        ledger.append(draft(region="?"))
    assert ledger.checkpoint() == before


# Time


def test_a_decision_may_say_when_it_was_made(ledger: Ledger, clock: Clock) -> None:
    """So that record and cookie carry the same time."""
    appended = ledger.append(draft(time=clock.now - 5))
    assert appended.time == clock.now - 5
    assert appended.record.claims["time"] == "2026-11-02T11:59:59.995Z"


@pytest.mark.parametrize("offset", [-MAX_SKEW - 1, MAX_SKEW + 1])
def test_a_time_far_from_the_clock_is_refused(ledger: Ledger, clock: Clock, offset: int) -> None:
    """Whoever made it up."""
    with pytest.raises(InvalidRecord, match="300 s from the ledger's clock"):
        ledger.append(draft(time=clock.now + offset))


def test_times_may_differ_from_the_order_by_the_skew_and_no_more(ledger: Ledger, clock: Clock) -> None:
    """A server whose clock is behind is told so, and its records are refused."""
    ledger.append(draft())
    clock.advance(-MAX_SKEW)
    ledger.append(draft())
    clock.advance(-1000)
    with pytest.raises(LedgerUnavailable, match="301 s behind") as caught:
        ledger.append(draft())
    assert "clocks" in caught.value.remedy
    assert check(ledger) == 4


def test_the_system_clock_counts_milliseconds() -> None:
    """Since 1970, in UTC."""
    assert 1_700_000_000_000 < system_clock() < 5_000_000_000_000


# Policies, notices, keys


def test_a_policy_is_published_once(open_ledger: OpenLedger) -> None:
    """When its digest first appears, whichever process comes first; deployments do not flap."""
    one, two = open_ledger(), open_ledger()
    assert one.publish_policy(policy("a")) == 2
    assert two.publish_policy(policy("a")) is None
    assert two.publish_policy(policy("b")) == 3
    assert one.publish_policy(policy("a")) is None
    assert one.policies() == (b'{"version":"a"}', b'{"version":"b"}') == two.policies()
    assert one.has_policy(policy("b").digest)
    assert not one.has_policy(policy("c").digest)
    assert parse_entry(one.entries(2, 3)[0]) == PolicyEntry(policy("a").digest, "a")
    assert check(one) == 4


def test_a_notice_is_published_once(ledger: Ledger) -> None:
    """Its digest is that of its bytes."""
    digest = ledger.publish_notice(b"<p>May we?")
    assert digest == ledger.publish_notice(b"<p>May we?") == sha256(b"<p>May we?").hexdigest()
    assert ledger.has_notice(digest)
    assert not ledger.has_notice("00" * 32)
    assert parse_entry(ledger.entries(2, 3)[0]) == NoticeEntry(digest)
    assert check(ledger) == 3


def test_racing_publications_enter_one_of_them(open_ledger: OpenLedger) -> None:
    """The loser of the race sees that it is there and writes nothing."""
    ledgers = [open_ledger() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda one=one: [one.publish_policy(policy(str(n))) for n in range(10)])
        for one in ledgers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledgers[0].policies()) == 10
    assert check(ledgers[0]) == 12


def test_a_policy_version_that_no_entry_can_carry_is_refused(ledger: Ledger) -> None:
    """Whatever the policy's own rules are."""
    with pytest.raises(InvalidLog, match="cannot be a field"):
        ledger.publish_policy(policy("two words"))


def with_record_key(name: str) -> Keys:
    return attrs.evolve(KEYS, record=signer(name))


def test_a_new_record_key_is_introduced_when_the_ledger_opens(open_ledger: OpenLedger) -> None:
    """Once; the old key goes on beside it until it is retired."""
    old, new = open_ledger(), open_ledger(keys=with_record_key("second"))
    old.append(draft())
    assert new.append(draft()).index == 4
    new.introduce_keys()
    assert check(new) == 5


def test_a_retired_key_signs_no_more(open_ledger: OpenLedger) -> None:
    """Not even in a process that has not heard of it, and it cannot be brought back."""
    old, new = open_ledger(), open_ledger(keys=with_record_key("second"))
    old.append(draft())
    assert new.retire_key(KEYS.record.key_id) == 4
    assert new.retire_key(KEYS.record.key_id) is None
    assert new.retire_key("unknown") is None
    with pytest.raises(InvalidKey, match="does not take records"):
        old.append(draft())
    with pytest.raises(InvalidKey, match="retired or revoked"):
        open_ledger()
    assert new.append(draft()).index == 5


def test_a_key_retired_while_records_were_signed_with_it_is_noticed(open_ledger: OpenLedger) -> None:
    """The batch is built again on what the log says by then."""
    old, new = open_ledger(), open_ledger(keys=with_record_key("second"))
    retire_then_build(old, new)
    with pytest.raises(InvalidKey, match="does not take records"):
        old.append(draft())
    assert check(new) == 4


def retire_then_build(old: Ledger, new: Ledger) -> None:
    """Let `new` retire the key of `old` right after `old` has signed its next batch."""
    build = old._builder.build
    calls: list[int] = []

    def interrupted(*arguments: Any) -> Any:
        built = build(*arguments)
        if not calls:
            calls.append(new.retire_key(KEYS.record.key_id) or 0)
        return built

    old._builder.build = interrupted  # type: ignore[method-assign]


# Other processes


def test_ledgers_on_one_file_continue_each_other(open_ledger: OpenLedger) -> None:
    """Sizes, tails and policies are seen at once, with a lag of nothing."""
    one, two = open_ledger(), open_ledger()
    name = history()
    records = [ledger.append(draft(history=name)) for ledger in (one, two, one, two, two)]
    assert [record.index for record in records] == [2, 3, 4, 5, 6]
    assert [record.record.claims["sequence"] for record in records] == [0, 1, 2, 3, 4]
    assert one.checkpoint() == two.checkpoint()
    assert check(one) == 7


def test_a_record_is_signed_again_only_when_its_history_has_moved(open_ledger: OpenLedger) -> None:
    """When another process was quicker, only what is stale is made anew."""
    one, two = open_ledger(), open_ledger()
    name = history()
    signed: list[bytes] = []

    class Counting:
        key_id, public_key = KEYS.record.key_id, KEYS.record.public_key

        def sign(self, data: bytes) -> bytes:
            if not signed:
                two.append(draft(history=name))
            signed.append(data)
            return KEYS.record.sign(data)

    three = open_ledger(keys=attrs.evolve(KEYS, record=Counting()))
    works = [RecordWork(what, NOW) for what in (draft(), draft(history=name), draft())]
    outcomes: Any = three._write(works).outcomes
    assert [appended.index for appended in outcomes] == [3, 4, 5]
    assert [appended.record.claims["sequence"] for appended in outcomes] == [0, 1, 0]
    assert len(signed) == 4
    assert check(one) == 6


# Keys and names that do not fit


def test_the_ledger_of_another_log_is_refused(open_ledger: OpenLedger) -> None:
    """Both names are told, and what to do."""
    open_ledger()
    with pytest.raises(
        LedgerError, match=r"log example\.com/consent, .* those of example\.com/other"
    ) as caught:
        open_ledger(keys=attrs.evolve(KEYS, log_name="example.com/other"))
    assert "another file" in caught.value.remedy


def test_the_ledger_of_another_key_is_refused(open_ledger: OpenLedger) -> None:
    """The right name under the wrong key is not the same log."""
    open_ledger()
    with pytest.raises(LedgerCorrupt, match="not signed with this log's key"):
        open_ledger(keys=attrs.evolve(KEYS, log=signer("other log")))


# Full, closed, asked for too much


def test_a_full_queue_refuses_and_keeps_room_for_refusals(open_ledger: OpenLedger) -> None:
    """A flood of grants cannot shut out those who refuse, object or withdraw."""
    events: list[tuple[str, object]] = []
    ledger = open_ledger(queue_limit=16, on_event=lambda name, **data: events.append((name, data["waiting"])))
    with ledger._gate:
        hold = threading.Event()
        ledger._sequencer._process = lambda items: (hold.wait(), Ledger._process(ledger, items))[1]
        first = ledger.submit(draft())
        while len(ledger._sequencer):
            pass
        taken = [ledger.submit(draft()) for _ in range(14)]
        with pytest.raises(LedgerBusy) as caught:
            ledger.submit(draft())
        assert "try again" in caught.value.remedy
        taken += [ledger.submit(draft(event=event)) for event in ("withdrawn", "objected")]
        with pytest.raises(LedgerBusy):
            ledger.submit(draft(event="refused"))
        hold.set()
    assert {future.result(10).index for future in (first, *taken)} == set(range(2, 19))
    assert events == [("ledger.busy", 14), ("ledger.busy", 16)]


def test_a_closed_ledger_takes_nothing_and_has_recorded_what_it_took(open_ledger: OpenLedger) -> None:
    """Closing waits for the queue; closing twice is no error."""
    ledger = open_ledger()
    futures = [ledger.submit(draft()) for _ in range(50)]
    ledger.close()
    assert [future.done() for future in futures] == [True] * 50
    with pytest.raises(LedgerClosed):
        ledger.append(draft())
    ledger.close()
    assert check(open_ledger()) == 52


def test_a_ledger_is_a_context_manager(url: str) -> None:
    """Closed when the block is left."""
    with Ledger.open(url, keys=KEYS) as ledger:
        ledger.append(draft())
    with pytest.raises(LedgerClosed):
        ledger.append(draft())


def test_a_decision_is_usable_while_its_entry_is_there(open_ledger: OpenLedger) -> None:
    """Of this log, below the head; what another process has appended counts."""
    one, two = open_ledger(), open_ledger()
    index = two.append(draft()).index
    assert one.usable(LOG, index)
    assert one.usable(LOG, 0)
    assert not one.usable(LOG, index + 1)
    assert not one.usable(LOG, -1)
    assert not one.usable("example.com/other", index)


def test_an_entry_is_of_the_history_that_its_record_discloses(ledger: Ledger) -> None:
    """Of no other, of no control entry, and of no other log's."""
    name = history()
    index = ledger.append(draft(history=name)).index
    assert ledger.is_of_history(LOG, index, name)
    assert not ledger.is_of_history(LOG, index, history())
    assert not ledger.is_of_history(LOG, 0, name)
    assert not ledger.is_of_history(LOG, index + 1, name)
    assert not ledger.is_of_history("example.com/other", index, name)


def test_usable_reads_nothing_for_what_it_has_seen(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store may be gone; what cannot be looked up is then not usable."""
    index = ledger.append(draft()).index

    def gone() -> None:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(ledger._store, "view", gone)
    assert ledger.usable(LOG, index)
    assert not ledger.usable(LOG, index + 1)


def test_what_has_no_opening_has_none(ledger: Ledger) -> None:
    """Control entries, and indexes beyond the head."""
    assert ledger.opening(0) is None
    assert ledger.opening(99) is None
    assert ledger.receipt(0) is None
    assert ledger.receipt(99) is None


def test_a_hook_that_fails_does_no_harm(open_ledger: OpenLedger, caplog: pytest.LogCaptureFixture) -> None:
    """Its failure is logged."""

    def hook(event: str, **data: object) -> None:
        raise RuntimeError("hook")

    ledger = open_ledger(queue_limit=0, on_event=hook)
    with caplog.at_level(logging.ERROR), pytest.raises(LedgerBusy):
        ledger.append(draft())
    assert "the event hook failed on ledger.busy" in caplog.text


def test_a_key_service_that_fails_fails_the_batch_and_nothing_else(
    open_ledger: OpenLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """Those who wait hear of it, and the next decision is recorded."""
    failing = [True]

    class Service:
        key_id, public_key = KEYS.record.key_id, KEYS.record.public_key

        def sign(self, data: bytes) -> bytes:
            if failing.pop():
                raise ConnectionError("no route to the key service")
            return KEYS.record.sign(data)

    ledger = open_ledger(keys=attrs.evolve(KEYS, record=Service()))
    with pytest.raises(LedgerUnavailable, match="nothing was recorded: ConnectionError") as caught:
        ledger.append(draft())
    assert isinstance(caught.value.__cause__, ConnectionError)
    failing.append(False)
    assert ledger.append(draft()).index == 2


def test_nothing_personal_is_logged(open_ledger: OpenLedger, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens: neither pseudonyms nor optional fields nor records."""
    with caplog.at_level(logging.DEBUG):
        ledger = open_ledger()
        secret = draft(extra={"page": "/secret-page"})
        jwt = ledger.append(secret).record.jwt
        with pytest.raises(InvalidRecord) as caught:
            ledger.append(attrs.evolve(secret, region="?"))
    for private in (secret.history, "secret-page", jwt):
        assert private not in caplog.text
        assert private not in str(caught.value)
        assert private not in repr(secret)


# Forks


def in_child(work: Any) -> bytes:
    """Run `work` in a forked child and return what it returns."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_child_goes_on_by_itself(ledger: Ledger) -> None:
    """As pre-forking servers do: parent and child both append, each with its own thread and connection."""
    before = ledger.append(draft()).index

    def child() -> bytes:
        return b" ".join(b"%d" % ledger.append(draft()).index for _ in range(5))

    indexes = [int(word) for word in in_child(child).split()]
    after = ledger.append(draft()).index
    assert [before, *indexes, after] == list(range(2, 9))
    assert check(ledger) == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_no_connection_is_open_at_the_moment_of_a_fork(ledger: Ledger) -> None:
    """A child that only closed its parent's connection could already damage the file."""
    ledger.append(draft())
    assert in_child(lambda: b"%d" % len(_sqlite_file._abandoned)) == b"0"
    assert ledger.append(draft()).index == 3


@pytest.mark.embedded
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_fork_does_not_wait_for_ever(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody is held up in the store, the child leaves the parent's connection alone and has its own."""
    monkeypatch.setattr("consentkit.evidence._inside._FORK_WAIT_SECONDS", 0.05)
    ledger.append(draft())
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger._gate:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    answer = in_child(lambda: b"%d %d" % (len(_sqlite_file._abandoned), ledger.append(draft()).index))
    done.set()
    thread.join()
    assert answer == b"1 3"
    assert ledger.append(draft()).index == 4
    assert check(ledger) == 5


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_store_that_fails_at_a_fork_does_not_stop_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged, and the ledger is not locked afterwards."""

    def release() -> None:
        raise LedgerUnavailable("no disk")

    with monkeypatch.context() as patch:
        patch.setattr(ledger._store, "release", release)
        assert in_child(lambda: b"alive") == b"alive"
    assert "put aside for a fork" in caplog.text
    assert ledger.append(draft()).index == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_fork_in_the_middle_of_writing_leaves_both_sides_sound(ledger: Ledger) -> None:
    """What the parent had queued is the parent's to record."""
    futures = [ledger.submit(draft()) for _ in range(300)]
    answer = in_child(lambda: b"%d" % ledger.append(draft()).index)
    indexes = {future.result().index for future in futures} | {int(answer)}
    assert indexes == set(range(2, 303))
    assert check(ledger) == 303
