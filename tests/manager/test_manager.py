"""The manager: what a request says, what an answer changes, and what is kept when the ledger fails."""

import json
from base64 import urlsafe_b64decode

import pytest

from consentkit.consent import Answer, Control, NoticeRef, Reason
from consentkit.consent.cookie import UNSIGNED_REFUSAL
from consentkit.errors import InvalidOption, LedgerUnavailable, PolicyError
from consentkit.evidence import Ledger
from consentkit.evidence.witness import Witness
from consentkit.keys import Keys
from consentkit.policy import Model
from consentkit.tlog import Algorithm, VerifierKey
from consentkit.web.request import Request
from tests.consent.worlds import DAY, HOUR, SERVICES, document, service

HOST = b"example.com"
DOCUMENT = document(SERVICES)
WIDER = document({**SERVICES, "extra": service("analytics")}, "2")
KEYS = Keys.generate("example.com/consent")
ACCEPT, REFUSE = Control.ACCEPT_ALL, Control.REFUSE_ALL


class Browser:
    """A browser as far as cookies go: keeps what it is told to, drops what expires, sends the rest."""

    def __init__(self, host=HOST, **headers):
        self.host, self.headers, self.jar = host, headers, {}

    def request(self, method="GET"):
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items()).encode()
        headers = [(b"host", self.host), *((k.encode(), v) for k, v in self.headers.items())]
        return Request(method, "/", "", (*headers, (b"cookie", cookie)), "https")

    def take(self, set_cookies):
        for raw in set_cookies:
            pair, *attributes = raw.decode().split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        return self


async def _nowhere(request):
    """A callable that would have to be awaited."""


def answer(manager, control, model=Model.OPT_IN, **more):
    notice = manager.notice("en", model)
    ref = NoticeRef(notice.digest, notice.policy, "en", model, notice.layout, notice.template)
    return Answer(control, notice=ref, method="banner", **more)


def decide(manager, browser, given):
    decided = manager.decide_for(browser.request("POST"), given)
    browser.take(decided.set_cookies)
    return decided


def claims(manager, index):
    payload = manager.ledger.opening(index).record.split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_grant_takes_effect_and_is_recorded(open_manager):
    """Accepting sets both cookies, allows at the next request, and leaves a record of what was shown."""
    manager, browser = open_manager(), Browser()
    given = answer(manager, ACCEPT)
    decided = decide(manager, browser, given)
    assert decided.recorded
    assert set(browser.jar) == {"__Host-consent", "__Host-consent-id"}
    assert manager.visit(browser.request()).consent.reason("ads") is Reason.GRANTED
    record = claims(manager, decided.index)
    assert record["event"] == "given"
    assert record["notice"]["digest"] == given.notice.digest
    assert record["choices"]["analytics"] == {"granted": True, "basis": "express"}
    assert (record["region"], record["regime"], record["model"]) == ("FR", "opt-in", "opt-in")
    assert record["sequence"] == 0


def test_a_refusal_sets_one_cookie_and_identifies_nobody(open_manager):
    """Refusing leaves the same bytes with every visitor of the day, and no id."""
    manager = open_manager()
    values = []
    for _ in range(2):
        browser = Browser()
        assert decide(manager, browser, answer(manager, REFUSE)).recorded
        values.append(browser.jar)
    assert values[0] == values[1]
    assert set(values[0]) == {"__Host-consent"}


def test_withdrawing_drops_the_id_and_continues_the_history(open_manager, clock):
    """A withdrawal belongs to the history of the grant, and leaves nothing that identifies."""
    manager, browser = open_manager(), Browser()
    first = decide(manager, browser, answer(manager, ACCEPT))
    clock.advance(HOUR)
    second = decide(manager, browser, answer(manager, REFUSE))
    assert set(browser.jar) == {"__Host-consent"}
    assert claims(manager, second.index)["event"] == "withdrawn"
    assert claims(manager, second.index)["sequence"] == 1
    assert manager.ledger.opening(first.index).disclosures != manager.ledger.opening(second.index).disclosures
    assert "ads" in second.withdrawn


def test_reading_writes_nothing(open_manager):
    """However often a page is read, with whatever signal, the log does not grow."""
    manager = open_manager(region=lambda request: "ZA")
    size = manager.ledger.size
    for gpc in (b"0", b"1"):
        manager.visit(Browser(**{"sec-gpc": gpc}).request())
    assert manager.ledger.size == size


def test_the_same_answer_again_records_nothing(open_manager):
    """A refusal repeated on the same day is nothing new."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, REFUSE))
    size = manager.ledger.size
    again = decide(manager, browser, answer(manager, REFUSE))
    assert (again.event, again.recorded, manager.ledger.size) == (None, False, size)


def test_a_stale_page_grants_what_it_told_of_and_is_recorded_so(open_manager, clock):
    """A page of the old policy, posted under a wider one: recorded as shown, and only the wider part asked."""
    old, browser = open_manager(), Browser()
    given = answer(old, ACCEPT)
    old.close()
    clock.advance(HOUR)
    manager = open_manager(WIDER)
    decided = decide(manager, browser, given)
    record = claims(manager, decided.index)
    assert record["policy"] == {"digest": old.policy.digest, "version": "1"}
    assert record["notice"]["digest"] == given.notice.digest
    consent = manager.visit(browser.request()).consent
    assert consent.allows("ads")
    assert consent.prompt == ("analytics",)


def test_a_page_nobody_published_refuses_and_does_not_grant(open_manager):
    """With an unknown notice a refusal takes effect, recorded without a notice, and a grant does not."""
    manager = open_manager()
    strange = NoticeRef("f" * 64, manager.policy.digest, "en", Model.OPT_IN, "bar", "consentkit/1")
    browser = Browser()
    granted = decide(manager, browser, Answer(ACCEPT, notice=strange))
    assert granted.grants_dropped
    assert browser.jar == {}
    refused = decide(manager, browser, Answer(REFUSE, notice=strange))
    assert claims(manager, refused.index)["notice"] is None


class Failing:
    """A ledger whose appends fail, and which otherwise is the one it wraps."""

    def __init__(self, ledger):
        self._ledger = ledger

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def append(self, draft, once=None):
        raise LedgerUnavailable("the disk is full")

    def spool(self, draft, once=None, attempted=None):
        raise LedgerUnavailable("so is the one of the spool")


def test_when_the_ledger_fails_refusals_take_effect_and_grants_do_not(open_manager, ledger, clock):
    """Of a mixed choice only the refusal counts, on this device, and the visitor is told to try again."""
    events = []
    with Ledger.open(ledger, keys=KEYS, clock=clock) as book:
        manager = open_manager(ledger=Failing(book), on_event=lambda name, **data: events.append(name))
        browser = Browser()
        mixed = {"analytics": True, "marketing": False, "preferences": False}
        decided = decide(manager, browser, answer(manager, Control.SAVE, choices=mixed))
        assert decided.device_only
        assert decided.grants_dropped
        assert not decided.recorded
        consent = manager.visit(browser.request()).consent
        assert consent.reason("ads") is Reason.REFUSED
        assert not consent.allows("analytics")
        assert events == ["decision.unrecorded"]
        assert not decided.spooled
        lost = decide(manager, Browser(), answer(manager, ACCEPT))
        assert (lost.event, lost.grants_dropped, lost.set_cookies) == (None, True, ())


def test_a_grant_that_the_log_does_not_hold_is_unreadable(open_manager, tmp_path):
    """A cookie of a log that was lost, or of another log, grants nothing and asks again."""
    manager, browser = open_manager(), Browser()
    for _ in range(3):
        decide(manager, browser := Browser(), answer(manager, ACCEPT))
    other = open_manager(ledger=f"sqlite:///{tmp_path / 'other.db'}")
    assert other.visit(browser.request()).consent.reason("ads") is Reason.UNREADABLE


def test_the_unsigned_refusal_is_signed_by_the_next_response_and_writes_no_record(open_manager):
    """The script's constant is replaced by a signed refusal of everything."""
    manager, browser = open_manager(region=lambda request: "US-CA"), Browser()
    size = manager.ledger.size
    browser.jar["__Host-consent"] = UNSIGNED_REFUSAL
    visit = manager.visit(browser.request())
    assert visit.consent.granted == {"necessary"}
    browser.take(visit.set_cookies)
    assert browser.jar["__Host-consent"].startswith("1.")
    assert manager.visit(browser.request()).consent.granted == {"necessary"}
    assert manager.ledger.size == size


@pytest.mark.parametrize(("control", "names"), [(REFUSE, ["__Host-consent"]), (ACCEPT, [])])
def test_a_refusal_is_set_again_after_thirty_days_and_a_grant_is_not(open_manager, clock, control, names):
    """A refusal outlives the browser's limit of 400 days as long as the visitor comes back."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, control))
    clock.advance(29 * DAY)
    assert manager.visit(browser.request()).set_cookies == ()
    clock.advance(3 * DAY)
    again = manager.visit(browser.request()).set_cookies
    assert [raw.split(b"=")[0].decode() for raw in again] == names
    assert all(browser.jar["__Host-consent"].encode() in raw and b"Max-Age=34560000" in raw for raw in again)


def test_each_answer_expires_the_other_names(open_manager):
    """A refusal left under another name counts once more, and is cleared away by the answer."""
    manager, browser = open_manager(), Browser()
    browser.jar["consent"] = UNSIGNED_REFUSAL
    decided = manager.decide_for(browser.request("POST"), answer(manager, ACCEPT))
    expired = [raw for raw in decided.set_cookies if raw.startswith(b"consent=;")]
    assert expired
    assert any(b"Domain=example.com" in raw for raw in expired)
    browser.take(decided.set_cookies)
    assert manager.visit(browser.request()).consent.allows("ads")


@pytest.mark.parametrize(
    ("host", "options", "name"),
    [
        (b"example.com", {}, "__Host-consent"),
        (b"www.example.com", {"shared_domain": "example.com"}, "__Secure-consent"),
        (b"other.org", {"shared_domain": "example.com"}, "__Host-consent"),
    ],
)
def test_the_cookies_name_follows_the_host(open_manager, host, options, name):
    """A shared domain gives up the `__Host-` prefix, for its own hosts only."""
    manager, browser = open_manager(**options), Browser(host)
    decide(manager, browser, answer(manager, ACCEPT))
    assert set(browser.jar) == {name, f"{name}-id"}
    assert manager.visit(browser.request()).consent.allows("ads")


def test_an_insecure_development_host_gets_the_plain_name(open_manager):
    """On loopback over http browsers keep no `__Host-` cookie, so the plain name is used there."""
    manager = open_manager()
    request = Request("POST", "/", "", ((b"host", b"localhost:8000"),), "http")
    decided = manager.decide_for(request, answer(manager, REFUSE))
    assert decided.set_cookies[0].startswith(b"consent=1.")
    assert b"Secure" not in decided.set_cookies[0]


def test_the_signal_is_honoured_and_recorded(open_manager):
    """GPC denies what the regime honours it for, and the record says whether it was shown."""
    manager = open_manager(region=lambda request: "US-CA")
    browser = Browser(**{"sec-gpc": b"1"})
    assert manager.visit(browser.request()).consent.reason("ads") is Reason.SIGNAL
    shown = answer(manager, ACCEPT, Model.OPT_OUT, shown={"marketing": False}, signal_shown=True)
    decided = decide(manager, browser, shown)
    assert claims(manager, decided.index)["signals"] == {"gpc": True, "shown": True}
    assert manager.visit(browser.request()).consent.allows("ads")


def test_optional_fields_are_kept_only_if_the_policy_says_why(open_manager):
    """The user agent goes into a record exactly if the policy gives a reason for it."""
    for fields, kept in (({}, None), ({"user_agent": "to tell complaints apart"}, {"user_agent": "Agent"})):
        policy = {**DOCUMENT, "records": {"retention": "5 years", "optional_fields": fields}}
        manager = open_manager(policy)
        decided = decide(manager, Browser(**{"user-agent": b"Agent"}), answer(manager, REFUSE))
        assert claims(manager, decided.index).get("extra") == kept


def test_a_failing_region_callable_means_the_fallback(open_manager, caplog):
    """The site's own callable cannot break a page."""

    def broken(request):
        raise RuntimeError("no database")

    manager = open_manager(region=broken)
    visit = manager.visit(Browser().request())
    assert (visit.consent.region, visit.consent.regime.id) == (None, "opt-in")
    assert "goes on without its answer" in caplog.text


@pytest.mark.parametrize(
    ("found", "region"),
    [("fr", "FR"), (" us-ca ", "US-CA"), ("uk", "GB"), ("", None), ("F R", None), (7, None)],
)
def test_a_region_is_read_however_it_is_spelt(open_manager, found, region):
    """What a location service answers is brought to ISO 3166's form, so that it can be recorded."""
    manager, browser = open_manager(region=lambda request: found), Browser()
    assert manager.visit(browser.request()).consent.region == region
    assert claims(manager, decide(manager, browser, answer(manager, ACCEPT)).index)["region"] == region


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ("France", "an ISO 3166 code"),
        ("USA", "US (ISO 3166 does not use USA)"),
        ("XX", "FR or US-CA"),
        (7, "a text"),
    ],
)
def test_a_region_that_is_none_is_told_once(open_manager, caplog, found, right):
    """With what it should be; its visitors have the fallback's regime, and no record repeats the text."""
    manager = open_manager(region=lambda request: found)
    for _ in range(3):
        assert manager.visit(Browser().request()).consent.region is None
    [warning] = [record for record in caplog.records if "the region callable" in record.getMessage()]
    assert repr(found) in warning.getMessage()
    assert right in warning.getMessage()


def test_a_refusal_has_a_receipt_for_an_hour(open_manager, clock):
    """By the ticket in its answer alone: the browser keeps nothing that leads there."""
    manager, browser = open_manager(), Browser()
    decided = decide(manager, browser, answer(manager, REFUSE))
    asked = Request("GET", "/consent/receipt", f"of={decided.ticket}", [(b"host", HOST)], "https")
    assert json.loads(manager.receipt(asked))["record"]
    assert manager.receipt(browser.request()) is None
    clock.advance(HOUR)
    assert manager.receipt(asked) is None


def test_unknown_texts_do_not_fill_the_log(open_manager, caplog):
    """A callable that hands on what a client sent can give anything."""
    texts = iter(f"nowhere {n}" for n in range(500))
    manager = open_manager(region=lambda request: next(texts))
    for _ in range(500):
        manager.region(Browser().request())
    assert len([record for record in caplog.records if "the region callable" in record.getMessage()]) == 64


def test_nowhere_and_an_unknown_part_of_a_country_are_no_mistakes(open_manager, caplog):
    """An address that nobody can place, and the armed forces' part of the United States."""
    answers = iter(["", None, "US-AA"])
    manager = open_manager(region=lambda request: next(answers))
    assert [manager.region(Browser().request()) for _ in range(3)] == [None, None, "US-AA"]
    assert "callable" not in caplog.text


def test_a_language_that_the_policy_lacks_is_told_once(open_manager, caplog):
    """The browser's own wishes decide then."""
    manager = open_manager(language=lambda request: "tlh")
    assert {manager.language(Browser().request()) for _ in range(3)} <= set(DOCUMENT["languages"])
    assert caplog.text.count("'tlh', which is no language here") == 1


def test_a_failing_event_hook_changes_nothing(open_manager, caplog):
    """The site's own hook cannot lose a decision."""

    def broken(name, **data):
        raise RuntimeError("no metrics")

    manager = open_manager(on_event=broken)
    assert decide(manager, Browser(), answer(manager, REFUSE)).recorded
    assert "event hook failed" in caplog.text


def test_opening_refuses_a_weaker_fallback_unless_it_is_meant(open_manager):
    """Unknown regions get opt-in, unless the policy says in so many words that they do not."""
    weak = {**DOCUMENT, "fallback": {"regime": "implied"}}
    with pytest.raises(PolicyError, match=r"/fallback/regime.*weaker than opt-in"):
        open_manager(weak)
    open_manager({**DOCUMENT, "fallback": {"regime": "implied", "allow_weaker": True}})


def test_opening_refuses_what_cannot_be_shown(open_manager):
    """A language without texts, and an option that does not exist, are refused with what there is."""
    with pytest.raises(PolicyError, match="languages"):
        open_manager({**DOCUMENT, "languages": ["en", "tlh"]})
    with pytest.raises(InvalidOption, match="prefx"):
        open_manager(prefx="/privacy")


def test_a_policy_and_its_notices_are_published_once(open_manager):
    """Opening again with the same policy adds nothing to the log."""
    size = open_manager().ledger.size
    assert open_manager().ledger.size == size
    assert open_manager(WIDER).ledger.size > size


async def _async_decision(manager, browser):
    decided = await manager.adecide_for(browser.request("POST"), answer(manager, ACCEPT))
    browser.take(decided.set_cookies)
    return decided


def test_deciding_in_an_event_loop_does_the_same(open_manager):
    """The asynchronous way ends in the same record and the same cookies."""
    import asyncio

    manager, browser = open_manager(), Browser()
    assert asyncio.run(_async_decision(manager, browser)).recorded
    assert manager.visit(browser.request()).consent.allows("ads")


def test_a_receipt_is_given_to_who_holds_the_grant(open_manager):
    """The id cookie of a valid grant names the entry; anyone else gets nothing."""
    manager, browser = open_manager(), Browser()
    assert manager.receipt(browser.request()) is None
    decide(manager, browser, answer(manager, ACCEPT))
    receipt = json.loads(manager.receipt(browser.request()))
    assert receipt


@pytest.mark.parametrize(
    "cookie",
    [
        b"consent-id=0.refused",
        b"__Host-consent-id=0.refused",
        b"consent=0.refused",
        b"consent=yes",
        b"consent=1.aaaa.x",
    ],
)
@pytest.mark.parametrize(
    "host", [b"example.com", b"a_b.example.com", b"a.-b.com", b"[::1]", b"127.0.0.1", b"x" * 300, b""]
)
def test_no_cookie_and_no_host_make_a_request_fail(open_manager, cookie, host):
    """Whatever comes in these fields, a page is answered and a refusal is possible."""
    manager = open_manager(region=lambda request: "US-CA")
    request = Request("POST", "/", "", ((b"host", host), (b"cookie", cookie)), "https")
    manager.visit(request)
    decided = manager.decide_for(request, answer(manager, REFUSE))
    assert decided.consent.granted == {"necessary"}
    assert decided.set_cookies


def test_a_grant_after_a_refusal_on_the_same_day_holds(open_manager, clock):
    """What the answer says is what the next request finds, also when a refusal is known by its day alone."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, REFUSE))
    clock.advance(HOUR)
    decided = decide(manager, browser, answer(manager, Control.SAVE, choices={"analytics": True}))
    consent = manager.visit(browser.request()).consent
    for name in manager.policy.names:
        assert (consent.allows(name), consent.reason(name)) == (
            decided.consent.allows(name),
            decided.consent.reason(name),
        )
    assert consent.reason("clicks") is Reason.GRANTED


def test_an_old_page_is_known_by_its_own_policy(open_manager):
    """Two policies whose notices look the same are told apart, and an unknown notice disturbs neither."""
    old = open_manager()
    given, stale = answer(old, ACCEPT), answer(old, REFUSE)
    old.close()
    manager = open_manager({**DOCUMENT, "version": "2", "records": {"retention": "6 years"}})
    assert manager.notice_by_digest("0" * 64) is None
    assert claims(manager, decide(manager, Browser(), given).index)["policy"]["version"] == "1"
    assert claims(manager, decide(manager, Browser(), stale).index)["notice"]["digest"] == stale.notice.digest
    assert (
        claims(manager, decide(manager, Browser(), answer(manager, ACCEPT)).index)["policy"]["version"] == "2"
    )


def test_a_refusal_written_by_the_script_is_recorded_as_the_withdrawal_it_is(open_manager, clock):
    """After the unsigned refusal the id cookie still leads to the history that the refusal ends."""
    manager, browser = open_manager(), Browser()
    decide(manager, browser, answer(manager, ACCEPT))
    browser.jar["__Host-consent"] = UNSIGNED_REFUSAL
    browser.take(manager.visit(browser.request()).set_cookies)
    assert "__Host-consent-id" in browser.jar
    clock.advance(HOUR)
    decided = decide(manager, browser, answer(manager, REFUSE))
    record = claims(manager, decided.index)
    assert (record["event"], record["sequence"]) == ("withdrawn", 1)
    assert set(browser.jar) == {"__Host-consent"}


def test_an_id_cookie_that_the_log_does_not_know_starts_a_new_history(open_manager):
    """Nobody can write into another's history by making up an id cookie."""
    manager, victim, thief = open_manager(), Browser(), Browser()
    decide(manager, victim, answer(manager, ACCEPT))
    history, index, log = victim.jar["__Host-consent-id"].split(".")
    thief.jar["__Host-consent-id"] = f"{'A' * 22}.{index}.{log}"
    assert claims(manager, decide(manager, thief, answer(manager, REFUSE)).index)["sequence"] == 0
    assert history != "A" * 22


def test_after_something_unreadable_a_partial_answer_leaves_everything_denied(open_manager):
    """Until all is answered anew, the cookie that could not be read stays, and with it the denial."""
    manager, browser = open_manager(region=lambda request: "US-CA"), Browser()
    browser.jar["__Host-consent"] = "1.broken"
    names = dict.fromkeys(("analytics", "marketing", "preferences"), True)
    partly = {**names, "marketing": False}
    decide(manager, browser, answer(manager, Control.SAVE, Model.OPT_OUT, choices=partly, shown=names))
    assert manager.visit(browser.request()).consent.granted == {"necessary"}
    decide(manager, browser, answer(manager, ACCEPT, Model.OPT_OUT, shown=dict.fromkeys(names, False)))
    assert manager.visit(browser.request()).consent.allows("clicks")


class Blind(Failing):
    """A ledger that cannot be read either."""

    def _fail(self, *arguments):
        raise LedgerUnavailable("the disk is gone")

    append = has_notice = usable = is_of_history = _fail


def test_a_ledger_that_cannot_be_read_denies_grants_and_takes_refusals(open_manager, ledger, clock):
    """A grant that cannot be looked up is not granted; a refusal, of an old page too, takes effect."""
    old, browser = open_manager(), Browser()
    decide(old, browser, answer(old, ACCEPT))
    stale = answer(old, REFUSE)
    old.close()
    with Ledger.open(ledger, keys=KEYS, clock=clock) as book:
        manager = open_manager(WIDER, ledger=Failing(book))
        manager.ledger = Blind(book)
        assert manager.visit(browser.request()).consent.reason("ads") is Reason.UNREADABLE
        decided = decide(manager, browser, stale)
        assert decided.device_only
        assert manager.visit(browser.request()).consent.reason("ads") is Reason.REFUSED


def test_what_a_cookie_cannot_hold_does_not_leave_an_id_behind(open_manager, clock):
    """Where grants had to be cut from the cookie to fit it, no id cookie goes with what is left."""
    services = {f"service-{n:02}": service("analytics") for n in range(20)}
    browser = Browser()
    for n in range(14):
        manager = open_manager(document(services, str(n)))
        shown = dict.fromkeys(services, False)
        choices = {"analytics": False, **shown, f"service-{n:02}": True}
        decide(
            manager,
            browser,
            answer(manager, Control.SAVE, choices=choices, shown=shown, asked=("analytics",)),
        )
        clock.advance(HOUR)
        consent = manager.visit(browser.request()).consent
        assert consent.allows(f"service-{n:02}")
        assert len(browser.jar["__Host-consent"]) <= 400
        manager.close()


def test_witnesses_and_a_mark_are_the_ledgers(open_manager, tmp_path):
    """Given to the manager with the ledger's URL; an open ledger has its own already."""
    witness = Witness(
        "https://witness.example", VerifierKey("w", Algorithm.COSIGNATURE_V1, KEYS.log.public_key)
    )
    options = {"witnesses": [witness], "high_water": tmp_path.as_uri()}
    manager = open_manager(ledger=f"sqlite:///{tmp_path / 'other.db'}", **options)
    manager.close()
    (mark,) = tmp_path.glob("*/checkpoint")
    assert mark.read_bytes().startswith(f"{KEYS.log_name}\n".encode())
    with Ledger.open(f"sqlite:///{tmp_path / 'other.db'}", keys=KEYS) as book:
        for name, value in options.items():
            with pytest.raises(InvalidOption, match="options of the ledger"):
                open_manager(ledger=book, **{name: value})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"regoin": None}, "did you mean region"),
        ({"prefx": "/x"}, "did you mean prefix"),
        ({"region": "FR"}, "lambda request"),
        ({"language": "en"}, "cannot be called"),
        ({"on_event": []}, "cannot be called"),
        ({"site_origins": "https://example.com"}, "give a list"),
        ({"region": _nowhere}, "def, not async def"),
    ],
)
def test_an_option_that_is_meant_otherwise_is_explained(open_manager, options, says):
    """With what to write instead."""
    with pytest.raises(InvalidOption) as refusal:
        open_manager(**options)
    assert says in str(refusal.value)
