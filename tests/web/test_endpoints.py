"""consentkit's own endpoints, without a server."""

import json
from hashlib import sha256
from urllib.parse import urlencode

import pytest

from consentkit.banner import catalogue_languages, error_page, script, style
from consentkit.consent import Control, Reason
from consentkit.policy import Model, Policy
from consentkit.web.endpoints import Response, reads_storage, respond
from consentkit.web.front import Front
from tests.support import Clock
from tests.web.sites import BUSY, HOST, Site, document, front, jar_header, policy, request

OWN = ("sec-fetch-site", "same-origin")
FORM = ("content-type", "application/x-www-form-urlencoded")
AS_JSON = ("accept", "application/json")
FR, CA, ZA = ("x-region", "FR"), ("x-region", "US"), ("x-region", "ZA")


def get(
    path: str, *headers: tuple[str, str], site: Site | None = None, method: str = "GET", **more: str
) -> Response:
    """What an endpoint answers."""
    return respond(front(site), request(method, path, headers, **more), b"")


def post(
    site: Site, control: str, *headers: tuple[str, str], body: bytes | None = None, **fields: str
) -> Response:
    """Post an answer to the notice of the site's policy in English under opt-in, unless told otherwise."""
    notice = site.notice("en", Model.OPT_IN)
    values = {
        "control": control, "notice": notice.digest, "policy": notice.policy, "asked": "analytics marketing", **fields,
    }  # fmt: skip
    asked = request("POST", "/consent/decision", [OWN, FORM, FR, *headers])
    return respond(Front(site), asked, urlencode(values).encode() if body is None else body)


def field(response: Response, name: str) -> str:
    """The one value of a header field."""
    (value,) = (value for key, value in response.headers if key.decode() == name)
    return value.decode()


def cookies(response: Response) -> list[bytes]:
    """Every `Set-Cookie` value."""
    return [value for key, value in response.headers if key == b"set-cookie"]


STATUSES = [400, 403, 404, 405, 408, 413, 415, "receipt"]
EVERY_PATH = [
    "/consent", "/consent/", "/consent/state", "/consent/policy", "/consent/cookies", "/consent/receipt",
    "/consent/decision", "/consent/nothing", "/.well-known/gpc.json", f"/consent/assets/{style().name}",
    "/consent/assets/nothing.css",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("path", EVERY_PATH)
def test_every_answer_is_guarded(path: str, method: str) -> None:
    """No sniffing, no framing, no inline code, and a referrer policy under which `Origin` is sent."""
    answer = get(path, method=method)
    assert field(answer, "x-content-type-options") == "nosniff"
    assert field(answer, "referrer-policy") == "same-origin"
    directives = {part.strip() for part in field(answer, "content-security-policy").split(";")}
    assert {
        "default-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    } <= directives
    assert field(answer, "cache-control")
    assert (answer.status == 405) == (
        method == "DELETE" or (method == "POST") != path.endswith("/decision")
    ) or answer.status == 404


@pytest.mark.parametrize("path", EVERY_PATH)
def test_T5_head_has_the_headers_of_get_and_no_body(path: str) -> None:
    """The length is the one that GET would send."""
    got, head = get(path), get(path, method="HEAD")
    assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def test_the_preferences_page_is_personal() -> None:
    """Kept by nobody, different for each visitor, in the visitor's language."""
    answer = get("/consent", ("accept-language", "fr"), FR)
    assert answer.status == 200
    assert field(answer, "cache-control") == "private, no-store"
    assert field(answer, "vary") == "Cookie, Sec-GPC, Accept-Language"
    assert b'lang="fr"' in answer.body
    assert b'action="/consent/decision"' in answer.body


def test_the_preferences_page_uses_the_strictest_model_of_a_regime() -> None:
    """Where one category needs a yes, the form that asks them all is one whose buttons give one."""
    site = Site()
    answer = get("/consent", ("x-region", "AU"), site=site)
    assert site.notice("en", Model.OPT_IN).digest.encode() in answer.body


def test_T25_addresses_start_at_the_mount_point() -> None:
    """Under a prefix the form posts below it, and the way home is the application's own."""
    answer = get("/consent", root_path="/app")
    assert b'action="/app/consent/decision"' in answer.body
    assert b'href="/app/"' in answer.body


def test_the_prefix_can_be_chosen() -> None:
    """Everything moves with it."""
    site = Site(prefix="/privacy/choices")
    assert b'action="/privacy/choices/decision"' in get("/privacy/choices", site=site).body
    assert get("/privacy/choices/state", site=site).status == 200


def test_the_state_tells_all_there_is_to_know() -> None:
    """For the page's script and for native clients, and nothing that identifies."""
    answer = get("/consent/state", FR, ("accept-language", "fr"))
    assert field(answer, "content-type") == "application/json"
    assert field(answer, "cache-control") == "private, no-store"
    off = {"allowed": False, "reason": "default"}
    assert json.loads(answer.body) == {
        "categories": {"necessary": {"allowed": True, "reason": "necessary"}, "analytics": off, "marketing": off},
        "services": {
            "login": {"allowed": True, "reason": "necessary"}, "pagecount": off, "adnet": off, "clips": off,
        },
        "granted": ["login"], "needsPrompt": True, "prompt": ["analytics", "marketing"], "region": "FR", "regime": "europe",
        "model": "opt-in", "language": "fr", "gpc": False,
        "policy": {"digest": policy().digest, "version": "1"},
    }  # fmt: skip


def test_the_state_sees_the_signal() -> None:
    """GPC in California: marketing is off because of it."""
    state = json.loads(get("/consent/state", CA, ("x-subdivision", "CA"), ("sec-gpc", "1")).body)
    assert state["gpc"] is True
    assert state["categories"]["marketing"] == {"allowed": False, "reason": "signal"}
    assert state["granted"] == ["analytics", "login", "pagecount"]


def test_the_policy_is_its_canonical_form() -> None:
    """So that anybody can check its digest; a browser that has it gets 304."""
    answer = get("/consent/policy")
    assert sha256(answer.body).hexdigest() == policy().digest
    etag = field(answer, "etag")
    for known in (etag, f"W/{etag}", f'"x", {etag}'):
        again = get("/consent/policy", ("if-none-match", known))
        assert (again.status, again.body) == (304, b"")
    assert get("/consent/policy", ("if-none-match", '"x"')).status == 200


def test_the_declaration_is_in_the_visitors_language() -> None:
    """And lists the cookies."""
    answer = get("/consent/cookies", ("accept-language", "fr"))
    assert b'lang="fr"' in answer.body
    assert b"ad_uid" in answer.body


@pytest.mark.parametrize("asset", [style(), script()])
def test_assets_never_change_under_their_name(asset) -> None:
    """A year, immutable, with their own type."""
    answer = get(f"/consent/assets/{asset.name}")
    assert answer.body == asset.body
    assert field(answer, "cache-control") == "public, max-age=31536000, immutable"
    assert field(answer, "content-type") == asset.media_type


@pytest.mark.parametrize(("changes", "honoured"), [({}, True), ({"us": {}}, False)])
def test_gpc_support_is_declared(changes: dict[str, object], honoured: bool) -> None:
    """True only if some regime honours the signal; dated, as the specification asks."""
    base = document()
    if changes:
        del base["regimes"]["us"]["signals"]
    answer = get("/.well-known/gpc.json", site=Site(Policy.from_dict(base), clock=Clock()))
    assert json.loads(answer.body) == {"gpc": honoured, "lastUpdate": "2026-11-02"}
    assert field(answer, "content-type") == "application/json"


def test_a_receipt_needs_the_id_cookie() -> None:
    """Whoever has none has no record to show."""
    site = Site()
    assert get("/consent/receipt", site=site).status == 404
    given = post(site, "accept")
    answer = get("/consent/receipt", jar_header(cookies(given)), FR, site=site)
    assert answer.status == 200
    assert field(answer, "content-disposition") == 'attachment; filename="consent-receipt.json"'
    assert field(answer, "cache-control") == "private, no-store"


def test_whoever_refuses_is_offered_a_receipt_at_that_moment() -> None:
    """The answer leads to it, without a cookie that identifies, and the choices then show it."""
    site = Site()
    told = json.loads(post(site, "refuse", AS_JSON).body)
    assert told["choices"].partition("?")[0] == "/consent"
    answer = get(told["receipt"], site=site)
    assert (answer.status, json.loads(answer.body)) == (200, {"index": 0})
    assert told["receipt"].encode() in get(told["choices"], FR, site=site).body
    assert b"/consent/receipt" not in get("/consent", FR, site=site).body


def test_what_was_not_recorded_has_no_receipt() -> None:
    """The choices are those of everybody then."""
    site = Site()
    site.failing = BUSY
    told = json.loads(post(site, "refuse", AS_JSON).body)
    assert (told["choices"], told["receipt"]) == ("/consent", None)


def test_who_has_no_receipt_is_told_why() -> None:
    """Nothing went wrong: whoever only refuses carries nothing to look a record up by."""
    assert b"in the moment of refusing" in get("/consent/receipt").body
    assert b"au moment du refus" in get("/consent/receipt", ("accept-language", "fr")).body
    assert "carries nothing that identifies" in json.loads(get("/consent/receipt", AS_JSON).body)["error"]


def test_only_the_receipt_reads_storage() -> None:
    """Everything else can be answered in an event loop."""
    reading = [path for path in EVERY_PATH if reads_storage(front(), request("GET", path))]
    assert reading == ["/consent/receipt"]


def test_accepting_takes_effect_and_returns_to_the_page() -> None:
    """303 to where the form was, with the cookies, kept by nobody."""
    site = Site()
    answer = post(site, "accept", ("referer", f"https://{HOST}/news?page=2"))
    assert (answer.status, field(answer, "location")) == (303, "/news?page=2")
    assert field(answer, "cache-control") == "private, no-store"
    consent = site.visit(request(headers=[jar_header(cookies(answer)), FR])).consent
    assert consent.allows("adnet")
    assert consent.reason("adnet") is Reason.GRANTED


def test_T21_a_decision_never_redirects_elsewhere() -> None:
    """Nor is there a parameter that could."""
    answer = post(Site(), "refuse", ("referer", "https://evil.example/x"), next="https://evil.example/")
    assert field(answer, "location") == "/"


def test_a_script_gets_json() -> None:
    """The event, what became of it, and the state that follows."""
    answer = json.loads(post(Site(), "accept", AS_JSON).body)
    consent = answer.pop("consent")
    assert [answer.pop(name).partition("?")[0] for name in ("choices", "receipt")] == [
        "/consent",
        "/consent/receipt",
    ]
    never = dict.fromkeys(("spooled", "deviceOnly", "grantsDropped", "conflict"), False)
    assert answer == {"event": "given", "recorded": True, **never}
    assert consent["granted"] == ["adnet", "analytics", "clips", "login", "marketing", "pagecount"]


def test_json_may_be_posted() -> None:
    """The same endpoint serves forms and JSON."""
    site = Site()
    notice = site.notice("en", Model.OPT_IN)
    body = json.dumps(
        {"control": "save", "notice": notice.digest, "asked": ["analytics"], "on": ["analytics"]}
    ).encode()
    asked = request("POST", "/consent/decision", [OWN, FR, AS_JSON, ("content-type", "application/json")])
    answer = json.loads(respond(Front(site), asked, body).body)
    assert answer["consent"]["granted"] == ["analytics", "login", "pagecount"]


def test_nothing_new_is_no_event() -> None:
    """The same answer again records nothing."""
    site = Site()
    first = post(site, "refuse")
    again = json.loads(post(site, "refuse", AS_JSON, jar_header(cookies(first))).body)
    assert (again["event"], again["recorded"]) == (None, False)
    assert len(site.log) == 1


def test_the_notice_that_was_shown_is_the_one_answered() -> None:
    """Its digest, policy, language and model come from what was published, not from the form."""
    site = Site()
    shown = site.notice("fr", Model.IMPLIED)
    post(site, "acknowledge", ZA, notice=shown.digest)
    (answer, _) = site.log[-1]
    assert answer.notice is not None
    assert (answer.notice.digest, answer.notice.policy) == (shown.digest, shown.policy)
    assert (answer.notice.language, answer.notice.model) == ("fr", Model.IMPLIED)
    assert (answer.control, answer.method) == (Control.ACKNOWLEDGE, "banner")


def test_a_page_of_the_old_policy_is_answered_under_the_old_policy() -> None:
    """A grant from a page that was rendered before the policy changed covers what that page said."""
    wider = document(version="2")
    wider["services"]["adnet"]["purposes"]["profiles"] = "Builds profiles"
    site = Site(policy(), Policy.from_dict(wider))
    old = next(n for n in site._notices if n.policy == policy().digest and n.model is Model.OPT_IN)
    given = json.loads(post(site, "accept", AS_JSON, notice=old.digest, policy=old.policy).body)
    assert given["grantsDropped"] is False
    assert given["consent"]["granted"] == ["analytics", "login", "pagecount"]
    assert given["consent"]["prompt"] == ["marketing"]
    refused = json.loads(post(site, "refuse", AS_JSON, notice=old.digest, policy=old.policy).body)
    assert refused["consent"]["granted"] == ["login"]


@pytest.mark.parametrize("fields", [{"notice": "ab" * 32}, {"notice": ""}, {"policy": "ab" * 32}])
def test_a_notice_that_was_never_published_cannot_grant(fields: dict[str, str]) -> None:
    """A grant is dropped and the visitor asked to try again; a refusal takes effect all the same."""
    site = Site()
    given = json.loads(post(site, "accept", AS_JSON, **fields).body)
    assert (given["grantsDropped"], given["consent"]["granted"], given["recorded"]) == (
        True,
        ["login"],
        False,
    )
    refused = json.loads(post(site, "refuse", AS_JSON, **fields).body)
    assert refused["event"] == "refused"
    assert refused["consent"]["categories"]["analytics"]["reason"] == "refused"


def test_without_a_script_a_dropped_grant_is_told_on_the_page() -> None:
    """No redirect: the page of choices says that it must be made again."""
    answer = post(Site(), "accept", notice="ab" * 32)
    assert answer.status == 200
    assert b'<p class="ck-say" role="status"' in answer.body
    assert b">What you allowed was not saved" in answer.body


def test_without_a_script_a_refusal_that_was_not_recorded_is_told() -> None:
    """It holds on this device, and the page says so."""
    site = Site()
    site.failing = BUSY
    answer = post(site, "refuse")
    assert answer.status == 200
    assert b">Your refusal holds in this browser" in answer.body
    assert any(cookie.startswith(b"__Host-consent=") for cookie in cookies(answer))


def test_withdrawing_expires_what_the_browser_carries() -> None:
    """Declared cookies of what is refused, likeliest places first, and no others."""
    site = Site()
    given = post(site, "accept")
    name, value = jar_header(cookies(given))
    answer = post(site, "refuse", (name, f"{value}; ad_uid=1; _pc_id=2; session=3; other=4"))
    gone = {cookie.partition(b"=")[0] for cookie in cookies(answer) if b"Max-Age=0" in cookie}
    assert gone == {b"ad_uid", b"_pc_id"}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ([FORM], b"control=refuse", 403),
        (
            [FORM, ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            b"control=refuse",
            403,
        ),
        ([OWN, ("content-type", "text/plain")], b"control=refuse", 415),
        ([OWN, ("content-type", "multipart/form-data; boundary=x")], b"--x--", 415),
        ([OWN], b"control=refuse", 415),
        ([OWN, FORM, FORM], b"control=refuse", 415),
        ([OWN, FORM], b"control=sure", 400),
        ([OWN, FORM], b"x" * 8193, 413),
        ([OWN, FORM], None, 408),
    ],
)
def test_a_post_that_is_not_taken_changes_nothing(
    headers: list[tuple[str, str]], body: bytes | None, status: int
) -> None:
    """A short page in the visitor's language, or JSON for a script; no cookie and no record."""
    site = Site()
    asked = request("POST", "/consent/decision", [*headers, ("accept-language", "fr")])
    answer = respond(Front(site), asked, body)
    assert (answer.status, site.log, cookies(answer)) == (status, [], [])
    assert b'lang="fr"' in answer.body
    assert len(answer.body) < 1000
    asked = request("POST", "/consent/decision", [*headers, AS_JSON])
    told = json.loads(respond(Front(site), asked, body).body)
    assert list(told) == ["error"]


def test_a_refused_method_names_those_that_are_taken() -> None:
    """RFC 9110 section 15.5.6."""
    assert field(get("/consent/decision"), "allow") == "POST"
    assert field(get("/consent/state", method="PUT"), "allow") == "GET, HEAD"


def test_T20_reading_changes_nothing() -> None:
    """A GET of the decision records nothing, whatever its query says."""
    site = Site()
    assert get("/consent/decision?control=accept", OWN, site=site).status == 405
    assert site.log == []


@pytest.mark.parametrize("language", catalogue_languages())
def test_every_refusal_is_told_in_the_visitors_language(language: str) -> None:
    """Each language's file has a sentence for each status, and no two are the same."""
    site = Site(policy(languages=[language]))
    told = {
        error_page(site.history.current, language, f"error.{s}", urls=front(site).urls(request()))
        for s in STATUSES
    }
    assert len(told) == len(STATUSES)
    assert all(f'lang="{language}"'.encode() in page for page in told)


def test_a_status_without_a_sentence_gets_a_general_one() -> None:
    """Better than a bare number."""
    pages = [error_page(policy(), "en", f"error.{s}", urls=front().urls(request())) for s in (400, 418)]
    assert pages[0] == pages[1]


def test_visitor_input_is_never_echoed() -> None:
    """Neither path nor body comes back in a page."""
    for answer in (
        get("/consent/<script>alert(1)"),
        get("/consent?of=<script>alert(1)"),
        post(Site(), "x", body=b"control=<script>"),
    ):
        assert b"<script>alert" not in answer.body
        assert b"control=" not in answer.body


def test_the_public_log_is_served_where_the_site_says_so() -> None:
    """To every origin, and fresh."""
    asked = request("GET", "/consent/log/checkpoint")
    assert respond(Front(Site()), asked, b"").status == 404
    answer = respond(Front(Site(serve_log=True)), asked, b"")
    assert (answer.status, answer.body) == (200, b"a checkpoint")
    assert dict(answer.headers)[b"cache-control"] == b"no-cache"
    assert dict(answer.headers)[b"access-control-allow-origin"] == b"*"
    assert reads_storage(Front(Site()), asked)
    assert respond(Front(Site(serve_log=True)), request("GET", "/consent/log/tile/0/001"), b"").status == 404
