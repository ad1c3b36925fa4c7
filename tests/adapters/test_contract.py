"""What every adapter must do, whichever server interface it speaks."""

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consentkit.policy import Model
from tests.adapters.drivers import DRIVERS, Answer, Behaviour, Call, Driver, Reply, View
from tests.web.sites import ADS, ANALYTICS, BUSY, SESSION, Site, jar_header

PAGE = Reply().chunks[0]
HTML = ("Content-Type", "text/html; charset=utf-8")
PLAIN = ("Content-Type", "text/plain")
FR, ZA, CA = ("X-Region", "FR"), ("X-Region", "ZA"), ("X-Region", "US")
OWN = ("Sec-Fetch-Site", "same-origin")
FORM = ("Content-Type", "application/x-www-form-urlencoded")

pytestmark = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)


def page(view: View) -> Reply:
    """An HTML page, which does not care for consent."""
    return Reply()


def reading(view: View) -> Reply:
    """A plain text that says whether analytics is allowed."""
    return Reply(headers=(PLAIN,), chunks=(str(view.consent.allows("analytics")).encode(),))


def replying(*headers: tuple[str, str], status: int = 200, chunks: tuple[bytes, ...] = (PAGE,)) -> Behaviour:
    """An application that gives one reply."""
    return lambda view: Reply(status, headers, chunks)


def never(view: View) -> Reply:
    """An application that must not be reached."""
    raise AssertionError(view.carrier)


def decide(driver: Driver, site: Site, control: str, *headers: tuple[str, str], **more: object) -> Answer:
    """Post an answer to the notice in force."""
    notice = site.notice("en", Model.OPT_IN)
    fields = {
        "control": control,
        "notice": notice.digest,
        "policy": notice.policy,
        "asked": "analytics marketing",
    }
    body = urlencode(fields).encode()
    call = Call("POST", "/consent/decision", (OWN, FORM, FR, *headers), body, **more)  # type: ignore[arg-type]
    return driver.call(never, site, call)


def test_a_page_gets_the_banner_behind_its_body_tag(driver: Driver) -> None:
    """Without a line in the application."""
    answer = driver.call(page, Site(), Call(headers=(FR,)))
    head, _, rest = answer.body.partition(b"<body>")
    assert head == b"<html><head></head>"
    assert rest.startswith(b'<link rel="stylesheet" href="/consent/assets/')
    assert b'value="refuse"' in rest
    assert rest.endswith(b"</script>text</body></html>")


def test_T3_an_announced_length_is_the_length_that_is_sent(driver: Driver) -> None:
    """Whether the banner went in or not."""
    length = ("Content-Length", str(len(PAGE)))
    answer = driver.call(replying(HTML, length), Site(), Call())
    assert answer.values("content-length") == [str(len(answer.body))]
    assert len(answer.body) > len(PAGE)
    other = b"<p>fragment</p>"
    answer = driver.call(replying(HTML, ("Content-Length", "15"), chunks=(other,)), Site(), Call())
    assert (answer.values("content-length"), answer.body) == (["15"], other)


@pytest.mark.parametrize("cut", [1, 3, 7, 13, 20])
def test_T3_the_length_is_right_for_a_body_in_pieces(driver: Driver, cut: int) -> None:
    """The headers wait until the tag is found."""
    pieces = tuple(PAGE[at : at + cut] for at in range(0, len(PAGE), cut))
    answer = driver.call(replying(HTML, ("Content-Length", str(len(PAGE))), chunks=pieces), Site(), Call())
    assert answer.values("content-length") == [str(len(answer.body))]
    assert answer.body == driver.call(page, Site(), Call()).body


def test_T3_a_long_page_whose_tag_comes_late_is_sent_as_it_is(driver: Driver) -> None:
    """The headers do not wait for more than 64 KiB."""
    pieces = (b"<html>" + b" " * 40_000, b" " * 40_000, b"<body>text")
    length = str(sum(map(len, pieces)))
    answer = driver.call(replying(HTML, ("Content-Length", length), chunks=pieces), Site(), Call())
    assert (answer.body, answer.values("content-length")) == (b"".join(pieces), [length])


def test_T1_a_stream_stays_a_stream(driver: Driver) -> None:
    """Pieces before the tag leave at once, pieces after it are not touched, and there is no length."""
    pieces = (b"<html><head>", b"</head><body>", b"one", b"two")
    answer = driver.call(replying(HTML, chunks=pieces), Site(), Call())
    assert answer.chunks[0] == pieces[0]
    assert answer.chunks[1].startswith(b"</head><body><link")
    assert answer.chunks[2:4] == (b"one", b"two")
    assert answer.values("content-length") == []


def test_T7_an_event_stream_is_never_touched(driver: Driver) -> None:
    """Not buffered, not injected, not made personal."""
    pieces = (b"data: 1\n\n", b"data: <body>\n\n")
    answer = driver.call(replying(("Content-Type", "text/event-stream"), chunks=pieces), Site(), Call())
    assert answer.chunks[:2] == pieces
    assert [name.lower() for name, _ in answer.headers] == ["content-type"]


@pytest.mark.parametrize(
    ("status", "headers", "chunks"),
    [
        (304, (("ETag", '"x"'), ("Vary", "Accept")), ()),
        (206, (HTML, ("Content-Range", "bytes 0-42/100"), ("Content-Length", "43")), (PAGE,)),
        (404, (HTML,), (PAGE,)),
        (200, (HTML, ("Content-Encoding", "gzip"), ("Content-Length", "3")), (b"\x1f\x8b\x08",)),
        (200, (("Content-Type", "text/html; charset=utf-16"),), ("<body>".encode("utf-16"),)),
        (
            200,
            (("Content-Type", "application/json"), ("Cache-Control", "public, max-age=60")),
            (b'"<body>"',),
        ),
    ],
)
def test_T4_T6_T10_what_must_not_be_changed_passes_untouched(
    driver: Driver, status: int, headers: tuple[tuple[str, str], ...], chunks: tuple[bytes, ...]
) -> None:
    """Status, headers and body; and nobody looked at the visitor."""
    site = Site()
    answer = driver.call(replying(*headers, status=status, chunks=chunks), site, Call())
    assert (answer.status, answer.body) == (status, b"".join(chunks))
    assert [(n.lower(), v) for n, v in answer.headers] == [(n.lower(), v) for n, v in headers]
    assert site.visits == 0


def test_T5_head_loses_the_length_that_get_would_not_have(driver: Driver) -> None:
    """The page would have had a banner, and belongs to its visitor."""
    behaviour = replying(HTML, ("Content-Length", str(len(PAGE))), chunks=())
    answer = driver.call(behaviour, Site(), Call("HEAD"))
    assert answer.body == b""
    assert answer.values("content-length") == []
    assert answer.values("vary") == ["Cookie, Sec-GPC, Accept-Language"]


def test_the_application_reads_consent(driver: Driver) -> None:
    """By handing over whatever its interface gives it."""
    assert driver.call(reading, Site(), Call(headers=(FR,))).body == b"False"
    assert driver.call(reading, Site(), Call(headers=(ZA,))).body == b"True"


def test_T13_a_response_that_read_consent_is_personal(driver: Driver) -> None:
    """And says so to every cache."""
    answer = driver.call(reading, Site(), Call())
    assert answer.values("vary") == ["Cookie, Sec-GPC"]
    assert answer.values("cache-control") == ["private"]


def test_T15_refused_cookies_are_kept_back_on_the_first_response(driver: Driver) -> None:
    """Necessary ones pass, deletions pass, in order."""
    deletion = "ad_uid=; Max-Age=0; Path=/"
    cookies = tuple(("Set-Cookie", value) for value in (SESSION, ADS, ANALYTICS, deletion))
    site = Site()
    answer = driver.call(replying(PLAIN, *cookies), site, Call(headers=(FR,)))
    assert answer.values("set-cookie") == [SESSION, deletion]
    assert [data["name"] for data in site.told("cookie.blocked")] == ["ad_uid", "_pc_id"]


def test_T2_header_bytes_beyond_ascii_survive(driver: Driver) -> None:
    """They are latin-1 on both interfaces."""
    value = "session=caf\xe9; Path=/"
    answer = driver.call(replying(PLAIN, ("Set-Cookie", value), ("Set-Cookie", ADS)), Site(), Call())
    assert answer.values("set-cookie") == [value]


def test_a_decision_comes_into_force(driver: Driver) -> None:
    """From the form to the next request, and back to the page of the form."""
    site = Site()
    answer = decide(driver, site, "accept", ("Referer", "https://shop.example.com/news"))
    assert (answer.status, answer.values("location")) == (303, ["/news"])
    cookie = jar_header(value.encode() for value in answer.values("set-cookie"))
    assert driver.call(reading, site, Call(headers=(cookie, FR))).body == b"True"
    refused = decide(driver, site, "refuse", cookie)
    cookie = jar_header(value.encode() for value in refused.values("set-cookie"))
    assert driver.call(reading, site, Call(headers=(cookie, ZA))).body == b"False"


def test_a_refusal_takes_effect_when_nothing_can_be_recorded(driver: Driver) -> None:
    """In this browser, and the visitor is told."""
    site = Site()
    site.failing = BUSY
    answer = decide(driver, site, "refuse", ("Accept", "application/json"))
    told = json.loads(answer.body)
    assert (told["deviceOnly"], told["recorded"]) == (True, False)
    cookie = jar_header(value.encode() for value in answer.values("set-cookie"))
    assert driver.call(reading, site, Call(headers=(cookie, ZA))).body == b"False"


def test_T20_a_post_from_another_site_is_refused(driver: Driver) -> None:
    """And changes nothing."""
    site = Site()
    call = Call("POST", "/consent/decision", (("Sec-Fetch-Site", "cross-site"), FORM), b"control=accept")
    answer = driver.call(never, site, call)
    assert (answer.status, site.log) == (403, [])


def test_T20_a_body_that_is_too_long_is_refused(driver: Driver) -> None:
    """And not read to its end."""
    call = Call("POST", "/consent/decision", (OWN, FORM), b"control=refuse&x=" + b"y" * 100_000)
    assert driver.call(never, Site(), call).status == 413


def test_a_body_that_does_not_arrive_changes_nothing(driver: Driver) -> None:
    """The client hung up: whatever the beginning said is not what it meant to say."""
    site = Site()
    call = Call("POST", "/consent/decision", (OWN, FORM), b"control=accept&asked=ana", short_by=20)
    assert driver.call(never, site, call).status in (0, 408)
    assert site.log == []


@pytest.mark.parametrize("path", ["/consent", "/consent/", "/consent/state", "/.well-known/gpc.json"])
def test_endpoints_are_answered_without_the_application(driver: Driver, path: str) -> None:
    """They live before it."""
    assert driver.call(never, Site(), Call(path=path)).status == 200


@pytest.mark.parametrize("path", ["/consents", "/consent-x", "/x/consent", "/"])
def test_other_paths_are_the_applications(driver: Driver, path: str) -> None:
    """However close they come."""
    assert driver.call(reading, Site(), Call(path=path)).body == b"False"


def test_T25_endpoints_live_below_the_mount_point(driver: Driver) -> None:
    """Under a prefix the addresses in a page have it in front."""
    site = Site()
    call = Call(path="/consent/state", mount="/app")
    assert driver.call(never, site, call).status == 200
    assert b'action="/app/consent/decision"' in driver.call(page, site, Call(mount="/app")).body
    answer = decide(driver, site, "refuse", mount="/app")
    assert answer.values("location") == ["/app/"]


def test_a_template_places_the_banner(driver: Driver) -> None:
    """Then nothing is put in automatically."""

    def behaviour(view: View) -> Reply:
        placed = view.exchange.banner().encode()
        return Reply(chunks=(b"<html><body><main></main>" + placed + b"</body></html>",))

    body = driver.call(behaviour, Site(), Call(headers=(FR,))).body
    assert body.startswith(b"<html><body><main></main><link")
    assert body.count(b'id="ck"') == 1


def test_a_callable_gives_each_host_its_manager(driver: Driver) -> None:
    """And a host that it does not know gets the application alone."""
    sites = {"a.example": Site(), "b.example": Site(inject=False)}

    def find(host: str) -> Site:
        return sites[host]

    assert b"ck-first" in driver.call(page, find, Call(host="a.example")).body
    assert driver.call(page, find, Call(host="b.example:8443")).body == PAGE
    assert driver.call(page, find, Call(host="c.example")).body == PAGE
    assert driver.call(reading, find, Call(host="c.example", headers=(ZA,))).body == b"False"
    cookies = driver.call(replying(PLAIN, ("Set-Cookie", SESSION)), find, Call(host="c.example"))
    assert cookies.values("set-cookie") == [SESSION]
    assert driver.call(page, find, Call(path="/consent", host="c.example")).body == PAGE


def test_T12_nothing_that_is_injected_needs_a_nonce(driver: Driver) -> None:
    """Script and stylesheet are files of the site itself: no inline code, style or handler."""
    body = driver.call(page, Site(), Call(headers=(FR,))).body.decode()
    assert re.findall(r"<script(?![^>]* src=)", body) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", body) == []
    assert all(address.startswith("/consent") for address in re.findall(r'(?:src|href)="(/[^"]*)"', body))


def test_T14_the_script_can_read_the_choice_and_nothing_else(driver: Driver) -> None:
    """The consent cookie is readable, the one that names the record is not."""
    cookies = decide(driver, Site(), "accept").values("set-cookie")
    hidden = {value.partition("=")[0]: "HttpOnly" in value for value in cookies}
    assert hidden == {"__Host-consent": False, "__Host-consent-id": True}


def test_T23_a_page_holds_no_secret(driver: Driver) -> None:
    """What the visitor's cookies say in confidence never stands in HTML, compressed or not."""
    site = Site()
    cookie = jar_header(value.encode() for value in decide(driver, site, "accept").values("set-cookie"))
    secrets = [pair.partition("=")[2] for pair in cookie[1].split("; ")]
    for path in ("/", "/consent", "/consent/state", "/consent/cookies"):
        body = driver.call(page, site, Call(path=path, headers=(FR, cookie))).body.decode()
        assert not [secret for secret in secrets if secret in body or secret.rpartition(".")[2] in body]


def test_T16_crumbs_of_a_cookie_are_joined(driver: Driver) -> None:
    """However many `Cookie` fields there are."""
    call = Call(headers=(ZA, ("Cookie", "a=1"), ("Cookie", "__Host-consent=0.refused")))
    assert driver.call(reading, Site(), call).body == b"False"


FIELDS = [
    "Cookie", "Origin", "Referer", "Sec-Fetch-Site", "Sec-GPC", "Accept", "Accept-Language", "Content-Type",
    "If-None-Match",
]  # fmt: skip
PATHS = ["", "/decision", "/state", "/receipt", "/cookies", "/assets/x", "/\xff"]
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
values = texts | st.sampled_from(
    ["same-origin", "none", "https://shop.example.com", FORM[1], "application/json", "1"]
)
bodies = st.binary(max_size=40) | st.sampled_from(
    [b"control=accept", b"control=refuse", b'{"control": "accept"}']
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(FIELDS), values), max_size=6, unique_by=lambda field: field[0]),
    st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]),
    st.sampled_from(PATHS),
    bodies,
)
def test_whatever_is_sent_is_answered_and_grants_nothing(
    driver: Driver, headers: list[tuple[str, str]], method: str, path: str, body: bytes
) -> None:
    """No traceback for anything that a visitor can send, and no grant without a notice that was shown."""
    site = Site()
    call = Call(method, f"/consent{path}", (*headers, FR), body)
    answer = driver.call(never, site, call)
    assert answer.status in {200, 303, 304, 400, 403, 404, 405, 408, 413, 415}
    assert not any(outcome.decisions.grants for _, outcome in site.log)
    # T22: whatever came in, no header field that goes out can be broken in two.
    assert all(" " <= char <= "~" for field in answer.headers for text in field for char in text)


@pytest.mark.parametrize(
    "value", ["\xff" * 50, "__Host-consent=" + "A" * 5000, "=;=;;", "__Host-consent=1.abcd.x.y"]
)
def test_a_broken_cookie_never_fails_a_page(driver: Driver, value: str) -> None:
    """It denies at most."""
    answer = driver.call(reading, Site(), Call(headers=(FR, ("Cookie", value))))
    assert (answer.status, answer.body) == (200, b"False")
