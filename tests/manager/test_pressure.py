"""Requests that come twice, and too many at once: idempotency keys, admission, the queue and the spool."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consentkit.consent import Control, Reason
from consentkit.errors import BadRequest, InvalidOption, LedgerBusy
from consentkit.evidence.ledger import Ledger
from consentkit.manager import ConsentManager
from consentkit.web.endpoints import respond
from consentkit.web.flood import Proposal, TokenBucket, retry_after
from consentkit.web.front import Front
from consentkit.web.repeats import LIFETIME, idempotency_key, is_strong
from consentkit.web.request import Request
from tests.evidence.test_draining import away
from tests.manager.test_manager import (
    ACCEPT,
    KEYS,
    REFUSE,
    Browser,
    answer,
    claims,
    decide,
)

STRONG = "0123456789abcdef" * 2


def keyed(manager, browser, given, key=STRONG):
    decided = manager.decide_for(browser.request("POST"), given, key)
    browser.take(decided.set_cookies)
    return decided


def post(front, control, *fields):
    """Post a decision to the endpoint."""
    fields = [
        ("host", "example.com"), ("sec-fetch-site", "same-origin"), ("content-type", "application/json"), *fields
    ]  # fmt: skip
    headers = tuple((name.encode(), value.encode()) for name, value in fields)
    notice = answer(front.manager, ACCEPT).notice.digest
    body = json.dumps({"control": control, "notice": notice, "asked": "analytics marketing"}).encode()
    return respond(front, Request("POST", "/consent/decision", "", headers, "https"), body)


class TestIdempotency:
    def test_the_same_again_is_answered_as_the_first_time(self, open_manager):
        """The answer was lost, and its cookies with it: they come again, byte for byte, and nothing is recorded."""
        manager = open_manager()
        given = answer(manager, ACCEPT)
        first, second = (keyed(manager, Browser(), given) for _ in range(2))
        assert (second.set_cookies, second.index, second.event) == (
            first.set_cookies,
            first.index,
            first.event,
        )
        assert second.recorded
        assert manager.ledger.size == first.index + 1

    def test_cookies_of_a_repetition_are_as_good_as_the_first(self, open_manager, clock):
        """Later in the day, too."""
        manager = open_manager()
        given = answer(manager, ACCEPT)
        keyed(manager, Browser(), given)
        clock.advance(3_600_000)
        browser = Browser()
        keyed(manager, browser, given)
        assert manager.visit(browser.request()).consent.allows("ads")

    def test_no_cookie_is_set_if_something_was_decided_since(self, open_manager, clock):
        """In the same history, or as the visitor's own cookie says."""
        manager, browser = open_manager(), Browser()
        given = answer(manager, ACCEPT)
        keyed(manager, browser, given)
        clock.advance(1000)
        decide(manager, browser, answer(manager, REFUSE))
        again = keyed(manager, browser, given)
        assert (again.set_cookies, str(again.event)) == ((), "given")
        assert not manager.visit(browser.request()).consent.allows("ads")
        elsewhere = keyed(manager, Browser(), given)
        assert elsewhere.set_cookies == ()

    def test_other_content_is_a_conflict(self, open_manager):
        """Which changes nothing."""
        manager, browser = open_manager(), Browser()
        keyed(manager, Browser(), answer(manager, REFUSE))
        size = manager.ledger.size
        decided = keyed(manager, browser, answer(manager, ACCEPT))
        assert (decided.conflict, decided.recorded, browser.jar) == (True, False, {})
        assert manager.ledger.size == size

    def test_a_refusal_takes_effect_even_then(self, open_manager):
        """Refusals always do."""
        manager, browser = open_manager(), Browser()
        keyed(manager, browser, answer(manager, ACCEPT))
        decided = keyed(manager, browser, answer(manager, REFUSE))
        assert decided.conflict
        assert not manager.visit(browser.request()).consent.allows("ads")

    def test_of_a_mixed_conflict_the_refusals_take_effect(self, open_manager):
        """And are recorded; what was to be granted is not."""
        manager, browser = open_manager(), Browser()
        keyed(manager, Browser(), answer(manager, REFUSE))
        mixed = {"analytics": True, "marketing": False}
        decided = keyed(manager, browser, answer(manager, Control.SAVE, choices=mixed))
        assert (decided.conflict, decided.grants_dropped, decided.recorded) == (True, True, True)
        assert not claims(manager, decided.index)["choices"]["marketing"]["granted"]
        assert "analytics" not in claims(manager, decided.index)["choices"]

    def test_a_refusal_that_waited_is_known_by_its_key(self, open_manager):
        """Made again while the ledger takes nothing, and afterwards: one record."""
        manager = open_manager()
        given = answer(manager, REFUSE)
        size, book, manager.ledger = manager.ledger.size, manager.ledger, Full(manager.ledger)
        assert [keyed(manager, Browser(), given).spooled for _ in range(2)] == [True, True]
        manager.ledger = book
        first = keyed(manager, Browser(), given)
        assert (first.recorded, first.index, book.size) == (True, size, size + 1)

    def test_a_grant_that_was_turned_away_may_come_again_under_its_key(self, open_manager):
        """The refusals of a mixed choice, which took effect the first time, do not stand for it."""
        manager, browser = open_manager(), Browser()
        mixed = {"analytics": True, "marketing": False}
        given = answer(manager, Control.SAVE, choices=mixed)
        book, manager.ledger = manager.ledger, Full(manager.ledger)
        assert keyed(manager, browser, given).grants_dropped
        manager.ledger = book
        assert keyed(manager, browser, given).recorded
        assert manager.visit(browser.request()).consent.allows("analytics")

    def test_a_weak_key_is_no_key_of_a_new_visitor(self, open_manager):
        """Somebody else could have the same; a refusal needs none."""
        manager = open_manager()
        with pytest.raises(BadRequest, match="128 random bits"):
            keyed(manager, Browser(), answer(manager, ACCEPT), "1")
        assert keyed(manager, Browser(), answer(manager, REFUSE), "1").recorded

    def test_a_weak_key_is_enough_within_a_history(self, open_manager):
        """The id cookie tells visitors apart."""
        manager = open_manager()
        visitors = [Browser(), Browser()]
        for browser in visitors:
            decide(manager, browser, answer(manager, ACCEPT))
        some = answer(manager, Control.SAVE, choices={"analytics": True, "marketing": False})
        before = [dict(browser.jar) for browser in visitors]
        first = [keyed(manager, browser, some, "1").index for browser in visitors]
        for browser, jar in zip(visitors, before, strict=True):
            browser.jar = jar
        assert [keyed(manager, browser, some, "1").index for browser in visitors] == first
        assert len(set(first)) == 2

    def test_a_key_is_forgotten_in_time(self, open_manager, clock):
        """After a day it can be used again."""
        manager = open_manager()
        first = keyed(manager, Browser(), answer(manager, ACCEPT))
        clock.advance(LIFETIME + 1)
        assert keyed(manager, Browser(), answer(manager, ACCEPT)).index > first.index

    def test_of_many_at_once_one_is_recorded(self, open_manager):
        """From several threads and two managers on one ledger, as two processes have it."""
        managers = [open_manager(), open_manager()]
        given = answer(managers[0], ACCEPT)
        size = managers[0].ledger.size
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda n: keyed(managers[n % 2], Browser(), given), range(16)))
        assert {decided.index for decided in told} == {size}
        assert len({decided.set_cookies for decided in told}) == 1
        assert managers[0].ledger.size == size + 1

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(keys=st.lists(st.integers(0, 3), min_size=1, max_size=12))
    def test_a_key_makes_one_record_however_often_it_comes(self, open_manager, keys):
        """The law of idempotency."""
        manager = open_manager()
        given, before = answer(manager, ACCEPT), manager.ledger.size
        mark = f"{before:032x}"[::-1]
        told = {key: keyed(manager, Browser(), given, f"{mark}{key:x}").index for key in keys}
        assert manager.ledger.size == before + len(told)
        assert len(set(told.values())) == len(told)

    def test_it_is_over_http(self, open_manager):
        """Quoted or bare; a second key is a mistake, and a conflict is a 409."""
        front = Front(open_manager())

        def ask(control, key, *more):
            return post(front, control, ("accept", "application/json"), ("idempotency-key", key), *more)

        first, second = ask("accept", STRONG), ask("accept", f'"{STRONG}"')
        assert first.status == second.status == 200
        assert [v for n, v in first.headers if n == b"set-cookie"] == [
            v for n, v in second.headers if n == b"set-cookie"
        ]
        assert ask("save", STRONG).status == 409
        assert ask("accept", "short").status == 400
        assert ask("accept", STRONG, ("idempotency-key", STRONG)).status == 400
        assert ask("refuse", "short").status == 200

    @pytest.mark.parametrize(
        ("key", "strong"),
        [("f" * 31, False), ("f" * 32, True), ("Z" * 21, False), ("Z" * 22, True),
         ("123e4567-e89b-42d3-a456-426614174000", False), ("!" * 40, False)],
    )  # fmt: skip
    def test_strength_is_a_matter_of_bits(self, key, strong):
        """A UUID has 122 random ones."""
        assert is_strong(key) is strong

    @pytest.mark.parametrize("value", [b"", b'""', b"a b", b"\xff", b"x" * 256])
    def test_what_is_no_key_is_refused(self, open_manager, value):
        """With a sentence, and not for a refusal."""
        key = idempotency_key(Request("POST", "/", "", ((b"idempotency-key", value),), "https"))
        manager, browser = open_manager(), Browser()
        with pytest.raises(BadRequest, match="1 to 255 printable ASCII"):
            keyed(manager, browser, answer(manager, ACCEPT), key)
        assert keyed(manager, browser, answer(manager, REFUSE), key).recorded


class Full:
    """A ledger whose queue has room for nothing."""

    def __init__(self, book: Ledger) -> None:
        self._ledger = book

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def append(self, draft, once=None):
        raise LedgerBusy("4096 decisions wait to be recorded")


class TestTooMany:
    def test_a_grant_is_asked_to_come_again(self, open_manager):
        """503 with a Retry-After that differs from visitor to visitor."""
        manager = open_manager()
        manager.ledger = Full(manager.ledger)
        seconds = {decide(manager, Browser(), answer(manager, ACCEPT)).retry_after for _ in range(60)}
        assert seconds <= {2, 3, 4}
        assert len(seconds) > 1

    def test_a_refusal_takes_effect_and_waits_in_the_spool(self, open_manager):
        """And is recorded with the next decision."""
        manager, browser = open_manager(), Browser()
        book, manager.ledger = manager.ledger, Full(manager.ledger)
        decided = decide(manager, browser, answer(manager, REFUSE))
        assert (decided.spooled, decided.device_only, decided.recorded) == (True, False, False)
        assert not manager.visit(browser.request()).consent.allows("ads")
        manager.ledger = book
        index = decide(manager, Browser(), answer(manager, ACCEPT)).index
        assert claims(manager, index - 1)["event"] == "refused"

    def test_of_a_mixed_choice_the_refusals_take_effect(self, open_manager):
        """The visitor is told to try the rest again."""
        manager, browser = open_manager(), Browser()
        manager.ledger = Full(manager.ledger)
        mixed = {"analytics": True, "marketing": False}
        decided = decide(manager, browser, answer(manager, Control.SAVE, choices=mixed))
        assert (decided.spooled, decided.grants_dropped) == (True, True)
        assert decided.retry_after

    def test_the_site_may_turn_grants_away_and_nothing_else(self, open_manager):
        """For so many seconds as it says."""
        manager, browser = open_manager(admit=lambda proposal: 30.0), Browser()
        assert 30 <= decide(manager, browser, answer(manager, ACCEPT)).retry_after <= 60
        assert decide(manager, browser, answer(manager, REFUSE)).recorded
        assert decide(open_manager(admit=lambda proposal: True), Browser(), answer(manager, ACCEPT)).recorded

    def test_the_site_is_told_nothing_personal(self, open_manager):
        """What would be recorded, where, and how many wait."""
        asked = []
        manager = open_manager(admit=lambda proposal: asked.append(proposal) or True)
        decide(manager, Browser(), answer(manager, ACCEPT))
        assert asked == [Proposal("given", "banner", "https://example.com", "FR", "opt-in", 0)]

    def test_a_withdrawal_beside_what_stays_granted_is_not_turned_away(self, open_manager):
        """Not even by a site that lets nothing through."""
        first, browser = open_manager(), Browser()
        decide(first, browser, answer(first, ACCEPT))
        manager = open_manager(admit=lambda proposal: False)
        decided = decide(manager, browser, answer(manager, REFUSE, asked=("marketing",)))
        assert (decided.recorded, str(decided.event)) == (True, "changed")
        assert manager.visit(browser.request()).consent.allows("analytics")

    def test_a_hook_that_fails_keeps_nobody_out(self, open_manager, caplog):
        """It is logged."""
        manager = open_manager(admit=lambda proposal: 1 // 0)
        assert decide(manager, Browser(), answer(manager, ACCEPT)).recorded
        assert "failed; the decision is recorded" in caplog.text

    def test_a_rate_lets_so_many_through(self, open_manager):
        """Withdrawals beyond it, too."""
        manager = open_manager(rate=0.001, burst=2)
        browsers = [Browser() for _ in range(3)]
        told = [decide(manager, browser, answer(manager, ACCEPT)).recorded for browser in browsers]
        assert told == [True, True, False]
        assert decide(manager, browsers[0], answer(manager, REFUSE)).recorded

    def test_a_bucket_fills_again(self):
        """At its rate, and no further than its brim."""
        now = [0.0]
        bucket = TokenBucket(2.0, 3, lambda: now[0])
        assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
        now[0] = 0.5
        assert [bucket.take(), bucket.take()] == [0.0, 0.5]
        now[0] = 100.0
        assert [bucket.take() for _ in range(4)][:3] == [0.0, 0.0, 0.0]

    @pytest.mark.parametrize("options", [{"rate": 0}, {"rate": 1, "burst": 0}, {"burst": 3}])
    def test_a_rate_that_cannot_be_is_refused(self, open_manager, options):
        """At once."""
        with pytest.raises(InvalidOption):
            open_manager(**options)

    def test_nobody_comes_back_at_once(self):
        """Not even after no time at all."""
        assert retry_after(0.01) == 1

    @pytest.mark.parametrize("accept", ["application/json", "text/html"])
    def test_it_is_told_over_http(self, open_manager, accept):
        """503 and when to come again for a grant, and what counts for a refusal: it is in force."""
        manager = open_manager()
        manager.ledger = Full(manager.ledger)

        def ask(control):
            return post(Front(manager), control, ("accept", accept))

        grant, refusal = ask("accept"), ask("refuse")
        assert (grant.status, refusal.status) == (503, 200 if accept.endswith("json") else 303)
        assert 2 <= int(dict(grant.headers)[b"retry-after"]) <= 4
        assert b"retry-after" not in dict(refusal.headers)
        assert any(name == b"set-cookie" for name, _ in refusal.headers)
        if accept.endswith("json"):
            assert json.loads(grant.body)["grantsDropped"]
            assert json.loads(refusal.body)["spooled"]
        else:
            assert b"or the server busy. Please choose again." in grant.body

    def test_a_ledger_that_is_away_is_told_as_one_that_is_busy(self, open_manager):
        """With more time to come back."""
        manager = open_manager()
        with away(manager.ledger):
            assert 10 <= decide(manager, Browser(), answer(manager, ACCEPT)).retry_after <= 20
            assert decide(manager, Browser(), answer(manager, REFUSE)).spooled

    def test_the_queue_keeps_places_for_withdrawals(self, open_manager, ledger, clock):
        """When grants fill it, a refusal still gets in; when all is full, it waits in the spool."""
        stop, busy = threading.Event(), threading.Event()
        with Ledger.open(ledger, keys=KEYS, clock=clock, queue_limit=8) as book:
            manager = open_manager(ledger=book)
            write = book._write

            def slowly(works):
                busy.set()
                stop.wait(20)
                return write(works)

            book._write = slowly
            waiting: list[Future] = []
            draft = manager._prepare(Browser().request("POST"), answer(manager, ACCEPT), None).draft
            waiting.append(book.submit(draft))
            assert busy.wait(20)
            waiting += [book.submit(_another(manager)) for _ in range(7)]
            assert decide(manager, Browser(), answer(manager, ACCEPT)).retry_after
            no = manager._prepare(Browser().request("POST"), answer(manager, REFUSE), None).draft
            waiting.append(book.submit(no))
            with pytest.raises(LedgerBusy):
                book.submit(no)
            stop.set()
            assert [future.result(20) is not None for future in waiting] == [True] * 9


class TestWithdrawn:
    """A grant whose withdrawal waits in the spool grants nothing, whoever still has its cookie."""

    def test_an_older_cookie_grants_nothing_any_more(self, open_manager, monkeypatch):
        """In no process that sees the spool: the answer to the withdrawal was lost, or another tab has it."""
        monkeypatch.setattr("consentkit.evidence._spooling.LAG_SECONDS", 0.0)
        ours, other, browser = open_manager(), open_manager(), Browser()
        decide(ours, browser, answer(ours, ACCEPT))
        assert other.visit(browser.request()).consent.allows("ads")
        with away(ours.ledger):
            assert ours.decide_for(browser.request("POST"), answer(ours, REFUSE)).spooled
            for manager in (ours, other):
                assert manager.visit(browser.request()).consent.reason("ads") is Reason.UNREADABLE
        decide(ours, Browser(), answer(ours, REFUSE))
        assert not other.visit(browser.request()).consent.allows("ads")

    def test_what_stays_granted_stays(self, open_manager):
        """The cookie that came with the answer tells of the refusal itself."""
        manager, browser = open_manager(), Browser()
        decide(manager, browser, answer(manager, ACCEPT))
        with away(manager.ledger):
            assert decide(manager, browser, answer(manager, REFUSE, asked=("marketing",))).spooled
            consent = manager.visit(browser.request()).consent
            assert (consent.allows("analytics"), consent.allows("marketing")) == (True, False)

    def test_a_later_grant_counts(self, open_manager, clock):
        """It stands behind the withdrawal, in the log as in time."""
        manager, browser = open_manager(), Browser()
        decide(manager, browser, answer(manager, ACCEPT))
        with away(manager.ledger):
            assert decide(manager, browser, answer(manager, REFUSE)).spooled
        clock.advance(1000)
        index = decide(manager, browser, answer(manager, ACCEPT)).index
        assert claims(manager, index - 1)["event"] == "withdrawn"
        assert manager.visit(browser.request()).consent.allows("ads")


def _another(manager: ConsentManager):
    return manager._prepare(Browser().request("POST"), answer(manager, ACCEPT), None).draft
