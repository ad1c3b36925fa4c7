"""A request's way through the application and back: only what must change is changed."""

import json
import logging
from types import SimpleNamespace

import pytest

from consentkit.errors import ConsentRequired, MissingMiddleware
from consentkit.policy import Model, Policy
from consentkit.web.exchange import KEY, Exchange, consent_from, exchange_from
from consentkit.web.front import Front, Fronts, notice_model
from consentkit.web.request import Headers
from consentkit.web.unclaimed import NecessaryOnly, Unclaimed
from tests.support import Clock
from tests.web.sites import ADS, ANALYTICS, SESSION, UNKNOWN, Site, document, front, policy, request

PAGE = b"<html><head></head><body>text</body></html>"
HTML = (b"content-type", b"text/html")
JSON = (b"content-type", b"application/json")
ZA, FR = ("x-region", "ZA"), ("x-region", "FR")


def exchange(
    site: Site | None = None, *headers: tuple[str, str], method: str = "GET", **more: str
) -> Exchange:
    """An exchange for one request."""
    return Exchange(front(site), lambda raw: raw, request(method, "/", headers, **more))


def cookie(value: str) -> tuple[bytes, bytes]:
    """A `Set-Cookie` field."""
    return b"set-cookie", value.encode()


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Every value of a header field."""
    return [value for key, value in headers if key.lower() == name]


def page(
    made: Exchange, *headers: tuple[bytes, bytes], body: bytes = PAGE, status: int = 200
) -> tuple[Headers, bytes]:
    """What becomes of a whole HTML page."""
    started = made.start(status, [HTML, *headers])
    sent = started.injector.feed(body, last=True) if started.injector else body
    return started.headers(), sent


def test_a_response_that_has_nothing_to_do_with_consent_passes_as_it_is() -> None:
    """The very same header list, and the visitor is not even looked at."""
    site = Site()
    headers = [JSON, (b"etag", b'"x"'), (b"cache-control", b"public, max-age=60")]
    started = exchange(site).start(200, headers)
    assert started.headers() is headers
    assert (started.injector, started.holds, site.visits) == (None, False, 0)


def test_T13_reading_consent_makes_the_response_personal() -> None:
    """Even if the visitor has no cookie at all: another one may."""
    made = exchange()
    assert made.consent.allows("analytics") is False
    headers = made.start(200, [JSON, (b"cache-control", b"public")]).headers()
    assert values(headers, b"vary") == [b"Cookie, Sec-GPC"]
    assert values(headers, b"cache-control") == [b"private"]


def test_consent_is_read_once() -> None:
    """However often it is asked for."""
    site = Site()
    made = exchange(site)
    assert made.consent is made.consent
    made.start(200, [HTML, cookie(ANALYTICS)])
    assert site.visits == 1


def test_a_refused_cookie_is_kept_back_and_told() -> None:
    """From the first response on; the event names cookie, service and reason."""
    site = Site()
    headers = exchange(site).start(200, [JSON, cookie(ADS), cookie(SESSION)]).headers()
    assert values(headers, b"set-cookie") == [SESSION.encode()]
    assert values(headers, b"cache-control") == [b"private"]
    assert site.told("cookie.blocked") == [{"name": "ad_uid", "service": "adnet", "reason": "default"}]


def test_an_undeclared_cookie_is_told() -> None:
    """Kept or not, as the policy says."""
    site = Site()
    headers = [JSON, cookie(UNKNOWN)]
    assert exchange(site).start(200, headers).headers() is headers
    assert site.told("cookie.undeclared") == [{"name": "mystery"}]
    site = Site(policy(enforcement={"undeclared": "block"}))
    assert values(exchange(site).start(200, headers).headers(), b"set-cookie") == []
    assert site.told("cookie.blocked") == [{"name": "mystery", "service": "", "reason": "undeclared"}]


def test_a_necessary_cookie_alone_leaves_the_response_alone() -> None:
    """Signing in does not depend on consent, so its caching is the application's."""
    site = Site()
    headers = [JSON, cookie(SESSION)]
    assert exchange(site).start(200, headers).headers() is headers
    assert site.visits == 0


def test_T6_an_injected_page_loses_its_validators() -> None:
    """They were made for other bytes; and nobody may share the page."""
    headers, body = page(
        exchange(), (b"etag", b'"x"'), (b"last-modified", b"x"), (b"accept-ranges", b"bytes")
    )
    assert body.startswith(b"<html><head></head><body><link")
    names = {name for name, _ in headers}
    assert not names & {b"etag", b"last-modified", b"accept-ranges", b"content-length"}
    assert values(headers, b"vary") == [b"Cookie, Sec-GPC, Accept-Language"]


def test_T3_the_length_of_an_injected_page_is_right() -> None:
    """The headers wait for the body tag, and then announce what is sent."""
    made = exchange()
    started = made.start(200, [HTML, (b"Content-Length", str(len(PAGE)).encode())])
    assert started.holds
    assert started.injector is not None
    body = started.injector.feed(PAGE, last=True)
    assert values(started.headers(), b"content-length") == [str(len(body)).encode()]


def test_T3_a_page_with_a_length_and_no_body_tag_stays_as_it_is() -> None:
    """Headers and all: nothing was read, so nothing depends on the visitor."""
    site = Site()
    headers = [HTML, (b"content-length", b"8"), (b"etag", b'"x"')]
    started = exchange(site).start(200, headers)
    assert started.injector is not None
    assert started.injector.feed(b"<p>x</p>", last=True) == b"<p>x</p>"
    assert started.headers() is headers
    assert site.visits == 0


@pytest.mark.parametrize("length", [[b"x"], [b"43", b"44"]])
def test_T3_a_length_that_makes_no_sense_is_left_out(length: list[bytes]) -> None:
    """The server then finds its own way to end the body."""
    started = exchange().start(200, [HTML, *((b"content-length", value) for value in length)])
    assert started.injector is not None
    started.injector.feed(PAGE, last=True)
    assert values(started.headers(), b"content-length") == []


def test_T5_head_of_an_injectable_page_has_no_length() -> None:
    """GET would send another one; it is personal as well, and has no body to look for a tag in."""
    started = exchange(method="HEAD").start(200, [HTML, (b"content-length", b"43"), (b"etag", b'"x"')])
    assert started.injector is None
    headers = started.headers()
    assert {name for name, _ in headers} == {b"content-type", b"cache-control", b"vary"}


def test_T4_an_encoded_page_is_left_alone_and_the_fix_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Compression belongs outside of the middleware."""
    site = Site()
    shared = Front(site)
    headers = [HTML, (b"content-encoding", b"gzip")]
    with caplog.at_level(logging.WARNING, "consentkit.web"):
        for _ in range(2):
            started = Exchange(shared, lambda raw: raw, request()).start(200, headers)
            assert started.headers() is headers
    assert len(caplog.records) == 1
    assert "outside" in caplog.text


def test_injection_can_be_switched_off() -> None:
    """Then a page passes like anything else."""
    site = Site(inject=False)
    headers = [HTML]
    assert exchange(site).start(200, headers).headers() is headers
    assert site.visits == 0


def test_a_template_that_places_the_banner_gets_no_second_one() -> None:
    """An explicit call is the first choice."""
    made = exchange()
    assert made.banner().startswith("<link")
    headers, body = page(made)
    assert body == PAGE
    assert values(headers, b"vary") == [b"Cookie, Sec-GPC, Accept-Language"]


def test_a_banner_with_nothing_to_ask_is_empty() -> None:
    """And still keeps the automatic one away."""
    site = Site()
    made = exchange(site, ("x-region", "US"), ("x-subdivision", "CA"))
    assert made.consent.needs_prompt is False
    assert made.banner() == ""
    assert page(made)[1] == PAGE


def test_what_a_template_places_is_not_escaped_again() -> None:
    """Engines that know `__html__` take it as it is."""
    made = exchange(None, ZA)
    for placed in (made.banner(), made.privacy_link(), made.script()):
        assert placed.__html__() == placed
        assert placed.startswith("<")
    assert "Privacy &amp; cookies" in made.privacy_link()
    assert "data-refusal" in made.script()


def test_script_alone_keeps_the_page_without_a_banner() -> None:
    """Any explicit placement means that the template is in charge."""
    made = exchange()
    made.script()
    headers, body = page(made)
    assert body == PAGE
    assert values(headers, b"vary") == [b"Cookie, Sec-GPC"]


def test_a_page_without_anything_to_ask_gets_the_permanent_control() -> None:
    """It reopens the choices on every page."""
    _, body = page(exchange(None, ("x-region", "US"), ("x-subdivision", "CA")))
    assert b'class="ck-open"' in body
    assert b"ck-first" not in body


def test_the_signal_is_named_where_it_is_honoured() -> None:
    """In California with GPC on, and not without."""
    where = (("x-region", "US"), ("x-subdivision", "CA"))
    assert b"Opt-out request honored" in page(exchange(None, *where, ("sec-gpc", "1")))[1]
    assert b"Opt-out request honored" not in page(exchange(None, *where))[1]


def test_a_renewed_cookie_makes_the_response_no_store() -> None:
    """The unsigned refusal that the script wrote is replaced by a signed one."""
    made = exchange(None, ("cookie", "__Host-consent=0.refused"))
    made.consent.allows("analytics")
    headers = made.start(200, [JSON, (b"cache-control", b"max-age=60")]).headers()
    (renewed,) = values(headers, b"set-cookie")
    assert renewed.startswith(b"__Host-consent=1.")
    assert values(headers, b"cache-control") == [b"private, no-store"]


def test_what_a_refused_service_left_is_expired_on_the_next_response() -> None:
    """As far as the cap goes, and on from there."""
    site = Site(expire_cap=3)
    made = exchange(site, ("cookie", "__Host-consent=0.refused; ad_uid=1; session=2; _pc_id=3"))
    made.consent.allows("analytics")
    sent = values(made.start(200, [JSON]).headers(), b"set-cookie")
    deleted = [value.partition(b"=")[0] for value in sent if b"Max-Age=0" in value]
    assert len(deleted) == 3
    assert set(deleted) <= {b"ad_uid", b"_pc_id"}


def test_a_few_responses_reach_every_place_a_cookie_may_live() -> None:
    """Each takes another turn, by the clock, so that what cannot be expired stands in nobody's way."""
    clock = Clock()
    site = Site(clock=clock, expire_cap=2)
    sent: set[bytes] = set()
    for _ in range(8):
        made = exchange(site, ("cookie", "__Host-consent=0.refused; ad_uid=1; _pc_id=3"))
        made.consent.allows("analytics")
        found = values(made.start(200, [JSON]).headers(), b"set-cookie")
        sent |= {value for value in found if b"Max-Age=0" in value}
        clock.advance(1000)
    assert len(sent) == 6


def test_cookies_of_services_that_were_only_never_allowed_stay() -> None:
    """Nobody refused: a first visit is no withdrawal, and deletes nothing."""
    made = exchange(None, FR, ("cookie", "ad_uid=1"))
    assert made.consent.allows("adnet") is False
    assert values(made.start(200, [JSON]).headers(), b"set-cookie") == []


def test_T17_a_look_alike_of_our_cookie_changes_nothing() -> None:
    """No-break spaces around the name do not make it ours."""
    made = exchange(None, ZA, ("cookie", "\xa0__Host-consent=0.refused"))
    assert made.consent.allows("adnet") is True


def test_T16_a_duplicate_of_our_cookie_denies_everything() -> None:
    """Which one is the visitor's is not known."""
    made = exchange(None, ZA, ("cookie", "__Host-consent=0.refused; __Host-consent=1.x"))
    assert made.consent.reason("adnet") == "unreadable"


def test_T17_an_insecure_host_is_warned_of_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each manager, and never where cookies are secure."""
    shared = front()
    with caplog.at_level(logging.WARNING, "consentkit.web"):
        shared.urls(request())
        assert not caplog.records
        for path in ("", "/app"):
            shared.urls(request(host="localhost:8000", scheme="http", root_path=path))
    assert len(caplog.records) == 1
    assert "for development only" in caplog.text


def test_consent_read_too_late_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The headers have left, so nothing can say any more that the response is personal."""
    made = exchange()
    made.start(200, [JSON]).headers()
    with caplog.at_level(logging.WARNING, "consentkit.web"):
        assert made.consent.allows("necessary")
    assert "before the first byte" in caplog.text


def test_T8_a_websocket_is_filtered_and_gets_no_caching_headers() -> None:
    """Its handshake may set cookies like any response."""
    made = exchange(None, ("cookie", "__Host-consent=0.refused"))
    headers = made.accept([cookie(ADS), cookie(SESSION)])
    assert [name for name, _ in headers] == [b"set-cookie", b"set-cookie"]
    assert values(headers, b"set-cookie")[0] == SESSION.encode()
    plain = [(b"x-a", b"1")]
    assert exchange().accept(plain) is plain


def test_fragments_are_rendered_once_for_the_same_consent() -> None:
    """And anew for another visitor, language, mount point or scheme."""
    shared = front()
    consent = shared.manager.visit(request()).consent
    first = shared.fragment(consent, request())
    assert shared.fragment(consent, request()) is first
    assert shared.fragment(consent, request(headers=[("accept-language", "fr")])) != first
    assert shared.fragment(consent, request(root_path="/app")) != first
    assert shared.fragment(consent, request(host="localhost", scheme="http")) != first


def test_a_fragment_of_another_consent_is_never_served() -> None:
    """An object's id may be used again when the object is gone."""
    shared = front()
    asked = request()
    consent = shared.manager.visit(asked).consent
    first = shared.fragment(consent, asked)
    ((key, (_, urls, _)),) = shared._fragments.items()
    other = shared.manager.visit(asked).consent
    shared._fragments[key] = other, urls, b"another visitor's"
    assert shared.fragment(consent, asked) == first
    shared._fragments[key] = consent, shared.urls(request(root_path="/app")), b"another mount point's"
    assert shared.fragment(consent, asked) == first
    shared._refusals[id(consent)] = other, frozenset({"adnet"})
    assert shared.deletions(request(headers=[("cookie", "ad_uid=1")]), consent) == ()


def test_what_visitors_make_grow_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of cookies and consents come and go; caches start over."""
    monkeypatch.setattr("consentkit.web.front._KEPT", 8)
    shared = front()
    for number in range(20):
        fields = f"name{number}=1; {'x' * 200}{number}=1; __Host-consent=0.refused"
        asked = request(headers=[("cookie", fields)])
        consent = shared.manager.visit(asked).consent
        shared.deletions(asked, consent)
        shared.fragment(consent, asked)
    assert 0 < len(shared._services) <= 8
    assert 0 < len(shared._fragments) <= 8
    assert max(map(len, shared._services)) <= 128


@pytest.mark.parametrize(
    ("region", "asked", "model"),
    [
        ("FR", ("analytics",), Model.OPT_IN),
        ("ZA", ("analytics", "marketing"), Model.IMPLIED),
        ("AU", ("analytics",), Model.NOTICE),
        ("AU", ("analytics", "marketing"), Model.OPT_IN),
        ("AU", (), Model.NOTICE),
    ],
)
def test_a_notice_has_the_strictest_model_of_what_it_asks(
    region: str, asked: tuple[str, ...], model: Model
) -> None:
    """A button that only acknowledges could never give the consent that one of its categories needs."""
    assert notice_model(policy().regime_for(region), asked) is model


def test_the_exchange_is_found_in_whatever_a_framework_hands_over() -> None:
    """A scope, an environ, or a request that has one."""

    assert exchange_from({KEY: "here"}) == "here"
    assert exchange_from(SimpleNamespace(scope={KEY: "scope"})) == "scope"
    assert exchange_from(SimpleNamespace(scope=None, environ={KEY: "environ"})) == "environ"


@pytest.mark.parametrize("carrier", [{}, object(), None, "x"])
def test_a_missing_middleware_is_named(carrier: object) -> None:
    """With what to do about it."""
    with pytest.raises(MissingMiddleware, match="wrap the application"):
        consent_from(carrier)


def test_one_manager_serves_every_host() -> None:
    """Its front is made once."""
    fronts = Fronts(Site())
    assert fronts.at("a.example") is fronts.at("b.example") is fronts.single


def test_a_callable_chooses_the_manager_by_host(caplog: pytest.LogCaptureFixture) -> None:
    """One front for each manager; a host that it does not know has none, and is logged once."""
    sites = {"a.example": Site(), "b.example": Site()}
    fronts = Fronts(lambda host: sites[host])
    assert fronts.single is None
    first = fronts.at("a.example")
    assert first is not None
    assert first.manager is sites["a.example"]
    assert fronts.at("a.example") is first
    assert fronts.at("b.example") is not first
    with caplog.at_level(logging.ERROR, "consentkit.web"):
        assert fronts.at("c.example") is None
        assert fronts.at("c.example") is None
        assert Fronts(lambda host: None).at("c.example") is None
    assert caplog.text.count("no consent manager for host 'c.example'") == 2


def test_an_unclaimed_host_allows_only_what_is_necessary() -> None:
    """And any name may be asked about, since there is no policy to know them."""
    consent = Unclaimed().consent
    assert consent.allows("necessary") is True
    assert consent.allows("anything") is False
    assert (consent.reason("necessary"), consent.reason("x")) == ("necessary", "unreadable")
    assert (consent.needs_prompt, consent.prompt) == (False, ())
    consent.require("necessary")
    with pytest.raises(ConsentRequired):
        consent.require("analytics")
    assert isinstance(consent, NecessaryOnly)
    assert Unclaimed().banner() == Unclaimed().privacy_link() == Unclaimed().script() == ""


def test_an_undeclared_cookie_is_told_to_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    """With what to write into the policy; what is kept back is told there, too."""
    site = front(Site())
    with caplog.at_level(logging.INFO, "consentkit.web"):
        for _ in range(3):
            made = Exchange(site, lambda raw: raw, request("GET", "/", [FR]))
            made.start(200, [JSON, cookie(UNKNOWN), cookie("counter=2; Max-Age=86400"), cookie(ADS)])
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["INFO", "WARNING", "WARNING"]
    assert "'ad_uid' of adnet is kept back" in told[0][1]
    assert "'mystery'" in told[1][1]
    changed = document()
    for entry in ('{"name": "mystery", "lifetime": "session"}', '{"name": "counter", "lifetime": "1 day"}'):
        assert sum(entry in text for _, text in told) == 1
        changed["services"]["pagecount"]["cookies"].append(json.loads(entry))
    assert Policy.from_dict(changed).service_for_cookie("counter").id == "pagecount"


def test_names_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """An application may put a visitor's number into a name."""
    site = front(Site())
    with caplog.at_level(logging.INFO, "consentkit.web"):
        for n in range(1100):
            Exchange(site, lambda raw: raw, request()).start(200, [JSON, cookie(f"visitor_{n}=1")])
    assert len(caplog.records) == 1024
