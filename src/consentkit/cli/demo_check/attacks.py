"""What an attacker, a broken browser or another site can try."""

from __future__ import annotations

from consentkit.cli.demo_check.expect import expect
from consentkit.cli.demo_check.visitor import ALL, Seen, Visitor
from consentkit.cli.demo_check.world import Check, World

__all__ = ["ATTACKS"]

NOTHING: frozenset[str] = frozenset()
CATEGORIES = ("analytics", "marketing", "preferences")
_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _granting(world: World) -> Visitor:
    """Let someone accept everything, in Australia where much is allowed even without a yes."""
    visitor = world.visitor("AU")
    form = visitor.choices().page.form("/consent/decision", "accept")
    visitor.decide(form, "accept", "acknowledged", granted=CATEGORIES)
    expect("what the page has for the cookie as it was set", visitor.see().got, ALL)
    return visitor


def _expect_denied(visitor: Visitor, what: str) -> None:
    seen = visitor.see()
    expect(f"what the page has with {what}", seen.got, NOTHING)
    expect(f"asked again with {what}", seen.has_banner, True)
    expect(f"why marketing is denied with {what}", visitor.reason("marketing"), "unreadable")


def forged_cookies(world: World) -> None:
    """A forged, cut or borrowed consent cookie allows nothing, not even what the region would allow"""
    visitor = _granting(world)
    consent, bound = visitor.jar.get("consent") or "", visitor.jar.get("consent-id") or ""
    body, _, tag = consent.rpartition(".")
    place = world.random.randrange(len(tag) - 1)  # the last character has bits that no tag uses
    other = _BASE64URL[(_BASE64URL.index(tag[place]) + 1) % 64]
    forgeries = {
        "a changed signature": f"{body}.{tag[:place]}{other}{tag[place + 1 :]}",
        "a signature cut short": consent[:-1],
        "no signature": body,
        "an unknown key": consent.replace(consent.split(".")[1], "AAAA", 1),
        "nonsense": "yes",
    }
    for what, value in forgeries.items():
        visitor.jar.put("consent", value)
        _expect_denied(visitor, what)
    visitor.jar.put("consent", consent)
    visitor.jar.drop("consent-id")
    _expect_denied(visitor, "its id cookie taken away")
    visitor.jar.put("consent-id", _granting(world).jar.get("consent-id") or "")
    _expect_denied(visitor, "somebody else's id cookie")
    visitor.jar.put("consent-id", bound)
    expect("what the page has with the true cookies again", visitor.see().got, ALL)


def turned_refusal(world: World) -> None:
    """A refusal that was turned into a grant by hand allows nothing"""
    visitor = world.visitor("FR")
    form = visitor.choices().page.form("/consent/decision", "save")
    visitor.decide(
        form, "save", "given", granted={"analytics"}, refused={"marketing", "preferences"}, on={"analytics"}
    )
    body, _, tag = (visitor.jar.get("consent") or "").rpartition(".")
    head, *stories = body.split("~")
    visitor.jar.put("consent", "~".join([head, stories[0], *map(_granting_story, stories[1:])]) + f".{tag}")
    expect("what the page has", visitor.see().got, NOTHING)
    expect("why marketing is denied", visitor.reason("marketing"), "unreadable")


def _granting_story(story: str) -> str:
    """Set the bit that says granted: the lowest of the first digit."""
    return _BASE64URL[_BASE64URL.index(story[0]) | 1] + story[1:]


def duplicated_cookie(world: World) -> None:
    """Two consent cookies at once allow nothing"""
    visitor = _granting(world)
    header = visitor.jar.header("/")
    consent = visitor.jar.get("consent")
    seen = visitor.get("/news/tide-clock", Cookie=f"{header}; consent={consent}")
    expect("what the page has", seen.got, NOTHING)
    expect("the visitor is asked", seen.has_banner, True)


def unsigned_refusal(world: World) -> None:
    """The script's own refusal is obeyed at once and replaced by a signed one"""
    visitor = _granting(world)
    visitor.jar.put("consent", "0.refused")
    seen = visitor.see()
    expect("what the page has", seen.got, NOTHING)
    expect("the visitor is not asked", seen.has_banner, False)
    expect("the cookie is signed now", (visitor.jar.get("consent") or "").startswith("1."), True)
    expect("what the next page has", visitor.see().got, NOTHING)
    expect("why marketing is denied", visitor.reason("marketing"), "refused")


def other_sites_posts(world: World) -> None:
    """A decision that another site's page posts is refused"""
    visitor = world.visitor("FR")
    form = visitor.see().banner("accept")
    fields = [*form.fields.items(), ("control", "accept")]
    senders = {
        "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        "a sibling site": {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example"},
        "an older browser on another site": {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        "a sandboxed frame": {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        "nobody": {"Sec-Fetch-Site": "", "Origin": ""},
    }
    for sender, headers in senders.items():
        answer = visitor.post(form.action, fields, **headers)
        expect(f"the answer to a post of {sender}", answer.status, 403)
        expect(f"cookies that come with the answer to {sender}", answer.cookies, ())
    expect("what the page has afterwards", visitor.see().got, NOTHING)


def open_redirects(world: World) -> None:
    """After an answer nobody is sent to another site"""
    visitor = world.visitor("FR")
    form = visitor.see().banner("refuse")
    fields = [*form.fields.items(), ("control", "refuse"), ("next", "https://evil.example/")]
    referers = {
        "https://evil.example/news": "/",
        "//evil.example/": "/",
        "javascript:alert(1)": "/",
        f"{visitor.origin}//evil.example/": "/",
        f"{visitor.origin}/\\evil.example": "/",
        f"{visitor.origin}@evil.example/": "/",
        f"{visitor.origin}/news/old-crane?page=2": "/news/old-crane?page=2",
        "": "/",
    }
    first = True
    for referer, place in referers.items():
        answer = visitor.post(f"{form.action}?next=//evil.example", fields, Referer=referer)
        expect(
            f"where a post from {referer!r} leads", (answer.status, answer.header("location")), (303, place)
        )
        if first:
            visitor.note(form, "refused", refused=CATEGORIES)
            first = False


def malformed_posts(world: World) -> None:
    """A malformed decision is refused in plain words and changes nothing"""
    visitor = world.visitor("FR")
    form = visitor.see().banner("accept")
    good = [*form.fields.items(), ("control", "accept")]
    tries: dict[str, tuple[int, Seen]] = {
        "an unknown control": (400, visitor.post(form.action, [("control", "whatever")])),
        "no control": (400, visitor.post(form.action, [("notice", form.fields["notice"])])),
        "a control that comes twice": (400, visitor.post(form.action, [*good, ("control", "refuse")])),
        "more than is read": (413, visitor.post(form.action, [*good, ("x", "x" * 9000)])),
        "another kind of body": (415, visitor.post(form.action, good, **{"Content-Type": "text/plain"})),
        "a GET": (405, visitor.get(form.action)),
        "a notice that never was": (200, visitor.post(form.action, _replaced(good, "notice", "0" * 64))),
        "a policy that never was": (200, visitor.post(form.action, _replaced(good, "policy", "0" * 64))),
    }
    for what, (status, answer) in tries.items():
        expect(f"the status for {what}", answer.status, status)
        expect(f"no traceback for {what}", "Traceback" in answer.response.text, False)
    seen = visitor.see()
    expect("what the page has afterwards", (seen.got, seen.has_banner), (NOTHING, True))


def _replaced(fields: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    return [(key, value if key == name else old) for key, old in fields]


def framing(world: World) -> None:
    """consentkit's own pages cannot be framed, and keep to their own origin"""
    seen = world.visitor("FR").choices()
    expect("framing is refused", "frame-ancestors 'none'" in seen.header("content-security-policy"), True)
    expect("other pages are told no address", seen.header("referrer-policy"), "same-origin")


ATTACKS: tuple[Check, ...] = (
    forged_cookies,
    turned_refusal,
    duplicated_cookie,
    unsigned_refusal,
    other_sites_posts,
    open_redirects,
    malformed_posts,
    framing,
)
