"""What visitors of each region get, before and after they answer."""

from __future__ import annotations

from datetime import UTC, datetime

from consentkit.cli.demo_check.expect import Wrong, expect
from consentkit.cli.demo_check.visitor import ALL, ARTICLE, Visitor
from consentkit.cli.demo_check.world import Check, World

__all__ = ["VISITS"]

NOTHING: frozenset[str] = frozenset()
CATEGORIES = ("analytics", "marketing", "preferences")


def implied_banner(world: World) -> None:
    """Australia: cookies are set and the banner says so"""
    seen = world.visitor("AU").see()
    expect("what the page has before an answer", seen.got, ALL)
    form = seen.banner("acknowledge")
    expect("the banner's buttons", [one.label for one in form.buttons], ["Accept", "Opt out"])
    expect("the banner offers to read more", "Read more" in seen.page.text("ck-first"), True)
    expect("the banner says that agreement is implied", "We take it that you agree" in seen.page.text(), True)


def implied_accept(world: World) -> None:
    """Australia: Accept is recorded, the banner closes, the tab stays"""
    visitor = world.kept["ack"] = world.visitor("AU")
    form = visitor.see().banner("acknowledge")
    visitor.decide(form, "acknowledge", "acknowledged", granted=CATEGORIES)
    seen = visitor.see()
    expect("what the page has", seen.got, ALL)
    expect("banner and tab afterwards", (seen.has_banner, seen.has_tab), (False, True))
    expect("why marketing is allowed", visitor.reason("marketing"), "granted")


def implied_opt_out(world: World) -> None:
    """Australia: opting out in the banner expires the cookies and keeps them away"""
    visitor = world.kept["opt-out"] = world.visitor("AU")
    form = visitor.see().banner("refuse")
    gone = visitor.decide(form, "refuse", "objected", refused=CATEGORIES)
    panel = visitor.get("/demo/panel").page.text()
    expect("the panel shows the record", '"event": "objected"' in panel, True)
    _expect_gone(visitor, gone.expired, {"_pc_id", "adnet_uid"})


def implied_change_of_mind(world: World) -> None:
    """Australia: the tab reopens the choices, and opting out there withdraws what was accepted"""
    visitor = world.visitor("AU")
    visitor.decide(visitor.see().banner("acknowledge"), "acknowledge", "acknowledged", granted=CATEGORIES)
    expect("the tab is on the page", visitor.see().has_tab, True)
    form = visitor.choices().page.form("/consent/decision", "refuse")
    gone = visitor.decide(form, "refuse", "withdrawn", refused=CATEGORIES)
    _expect_gone(visitor, gone.expired, {"_pc_id", "adnet_uid", "consent-id"})


def _expect_gone(visitor: Visitor, expired: frozenset[str], names: set[str]) -> None:
    expect("the cookies that the answer expires", expired & names, frozenset(names))
    left = visitor.jar.names() & names
    expect("what is left of them in the browser", left, NOTHING)
    seen = visitor.see()
    expect("what the next page has", seen.got, NOTHING)
    expect("the visitor is not asked again", seen.has_banner, False)
    expect("why marketing is denied", visitor.reason("marketing"), "refused")


def opt_in_before(world: World) -> None:
    """France: nothing but what is necessary before an answer"""
    visitor = world.visitor("FR")
    seen = visitor.see()
    expect("what the page has before an answer", seen.got, NOTHING)
    expect("the necessary cookie", "courier_session" in visitor.jar.names(), True)
    visitor.post("/reader", [("size", "large")])
    expect("a preference is not kept", visitor.jar.get("reader_theme"), None)
    expect("still asked on the next page", visitor.see().has_banner, True)


def opt_in_fair(world: World) -> None:
    """France: accepting and refusing weigh the same"""
    seen = world.visitor("FR").see()
    form = seen.banner("accept")
    accept, refuse = form.button("accept"), form.button("refuse")
    expect("both buttons have the same attributes", accept.attributes, refuse.attributes)
    expect(
        "both are in the banner's first layer",
        {"Accept all", "Refuse all"} <= _labels(seen.page.texts["ck-first"]),
        True,
    )
    choices = world.visitor("FR").choices().page.form("/consent/decision", "accept")
    ticked = [name for name, on in choices.toggles.items() if on]
    expect("no choice is ticked beforehand", ticked, [])


def _labels(texts: list[str]) -> set[str]:
    return set(texts)


def opt_in_refuse(world: World) -> None:
    """France: a refusal keeps everything away and identifies nobody"""
    for _ in range(2):  # once more if midnight fell between the two
        day = datetime.now(UTC).date()
        first, second = (_refuse(world) for _ in range(2))
        if datetime.now(UTC).date() == day:
            break
    world.kept["refused"] = first
    expect("two refusals on one day are the same cookie", first.jar.get("consent"), second.jar.get("consent"))
    expect("no id cookie after a refusal", first.jar.get("consent-id"), None)


def _refuse(world: World) -> Visitor:
    visitor = world.visitor("FR")
    form = visitor.see().banner("refuse")
    visitor.decide(form, "refuse", "refused", refused=CATEGORIES)
    seen = visitor.see()
    expect("what the page has after the refusal", seen.got, NOTHING)
    expect("asked again", seen.has_banner, False)
    return visitor


def opt_in_accept(world: World) -> None:
    """France: accepting lets everything in, withdrawing takes it out again"""
    visitor = world.visitor("FR")
    form = visitor.see().banner("accept")
    visitor.decide(form, "accept", "given", granted=CATEGORIES)
    seen = visitor.see()
    expect("what the page has after acceptance", seen.got, ALL)
    expect("asked again", seen.has_banner, False)
    form = visitor.choices().page.form("/consent/decision", "refuse")
    gone = visitor.decide(form, "refuse", "withdrawn", refused=CATEGORIES)
    _expect_gone(visitor, gone.expired, {"_pc_id", "adnet_uid", "consent-id"})


def opt_in_partly(world: World) -> None:
    """France: what was ticked is allowed, and nothing else"""
    visitor = world.kept["partly"] = world.visitor("FR")
    form = visitor.choices().page.form("/consent/decision", "save")
    visitor.decide(
        form, "save", "given", granted={"analytics"}, refused={"marketing", "preferences"}, on={"analytics"}
    )
    seen = visitor.see()
    expect("what the page has", seen.got, {"_pc_id"})
    expect("why marketing is denied", visitor.reason("marketing"), "refused")


def implied_is_no_consent(world: World) -> None:
    """France: what was acknowledged or left alone elsewhere is no consent"""
    visitor = world.again("ack")
    visitor.switch(region="FR")
    seen = visitor.see()
    expect("what the page has for who acknowledged a banner in Australia", seen.got, NOTHING)
    expect("the visitor is asked", seen.has_banner, True)
    other = world.visitor("AU")
    form = other.choices().page.form("/consent/decision", "save")
    expect("the toggles in Australia stand on", all(form.toggles.values()), True)
    other.decide(form, "save", "acknowledged", granted=CATEGORIES)
    expect("the banner comes back in Australia", other.see().has_banner, False)
    other.switch(region="FR")
    expect("what the page has for who left all toggles alone in Australia", other.see().got, NOTHING)
    visitor.switch(region="AU")


def opt_out_and_signal(world: World) -> None:
    """California: allowed until a no, and the browser's signal is a no to advertising"""
    visitor = world.visitor("US-CA")
    seen = visitor.see()
    expect("what the page has before an answer", (seen.got, seen.has_banner), (ALL, False))
    expect("the tab is on the page", seen.has_tab, True)
    visitor.switch(gpc="on")
    seen = visitor.see()
    expect("what the page has with the signal", seen.got, {"_pc_id"})
    expect("the advertising cookie expires", "adnet_uid" in seen.expired, True)
    expect("the page says that the signal is honoured", "Opt-out request honored" in seen.page.text(), True)
    expect("why marketing is denied", visitor.reason("marketing"), "signal")
    known = visitor.get("/.well-known/gpc.json")
    expect("gpc.json says so", known.response.json().get("gpc"), True)


def signal_and_grant(world: World) -> None:
    """California: a yes given with the signal on display counts, one given before it does not"""
    early = world.visitor("US-CA")
    form = early.choices().page.form("/consent/decision", "accept")
    early.decide(form, "accept", "acknowledged", granted=CATEGORIES)
    early.switch(gpc="on")
    expect("what the page has for an earlier yes", early.see().got, {"_pc_id"})
    visitor = world.visitor("US-CA", gpc=True)
    choices = visitor.choices()
    expect("the choices show the signal", "Global Privacy Control" in choices.page.text("ck-form"), True)
    form = choices.page.form("/consent/decision", "accept")
    visitor.decide(form, "accept", "given", granted=CATEGORIES)
    expect("what the page has for a yes with the signal on display", visitor.see().got, ALL)


def refusal_travels(world: World) -> None:
    """A refusal counts in every region"""
    for name, region in (("opt-out", "FR"), ("opt-out", "US-CA"), ("refused", "AU"), ("refused", "US-CA")):
        visitor = world.again(name)
        home = visitor.region or ""
        visitor.switch(region=region)
        seen = visitor.see()
        expect(f"what the page has in {region} for who refused in {home}", seen.got, NOTHING)
        expect(f"asked again in {region}", seen.has_banner, False)
        visitor.switch(region=home)


def unknown_region(world: World) -> None:
    """Where nobody knows the region, the strictest rule counts"""
    seen = world.visitor("unknown").see()
    expect("what the page has", seen.got, NOTHING)
    expect(
        "the visitor is asked",
        [one.label for one in seen.banner("accept").buttons],
        ["Accept all", "Refuse all"],
    )


def languages(world: World) -> None:
    """A French reader is asked in French"""
    visitor = world.visitor("FR", language="fr")
    seen = visitor.see()
    expect("the page's language", seen.page.language, "fr")
    expect(
        "the banner's buttons",
        [one.label for one in seen.banner("refuse").buttons],
        ["Tout accepter", "Tout refuser"],
    )
    visitor.decide(seen.banner("accept"), "accept", "given", granted=CATEGORIES)
    world.kept["receipt"] = visitor


def caching(world: World) -> None:
    """What depends on the visitor is kept by no shared cache; what does not may be kept for long"""
    visitor = world.visitor("AU")
    seen = visitor.see()
    directives, vary = _list(seen.header("cache-control")), _list(seen.header("vary"))
    expect("a page is private", "private" in directives or "no-store" in directives, True)
    expect("a page varies by", {"cookie", "sec-gpc"} <= vary, True)
    answer = visitor.decide(seen.banner("refuse"), "refuse", "objected", refused=CATEGORIES)
    expect("a decision is stored nowhere", "no-store" in _list(answer.header("cache-control")), True)
    expect(
        "the choices are stored nowhere", "no-store" in _list(visitor.choices().header("cache-control")), True
    )
    assets = [source for source in seen.page.scripts if source.startswith("/consent/assets/")]
    if not assets:
        raise Wrong("the page loads the banner's script", "/consent/assets/...", seen.page.scripts)
    asset = visitor.get(assets[0])
    expect(
        "the script may be kept for ever",
        {"public", "immutable"} <= _list(asset.header("cache-control")),
        True,
    )
    expect("the script sets no cookie", asset.cookies, ())


def _list(value: str) -> set[str]:
    return {part.strip().lower() for part in value.split(",")}


def reading_writes_nothing(world: World) -> None:
    """Reading records nothing and leaves no cookie of consentkit's"""
    visitor = world.visitor("AU")
    before = visitor.get("/demo/panel").page.text()
    for path in ("/", ARTICLE, "/consent", "/consent/state", "/consent/policy", "/consent/cookies"):
        expect(f"GET {path} answers", visitor.get(path).status, 200)
    after = visitor.get("/demo/panel").page.text()
    size = [text.partition(" entries")[0].rpartition(" ")[2] for text in (before, after)]
    expect("the ledger's size before and after", size[0], size[1])
    ours = {"consent", "consent-id", "__Host-consent", "__Host-consent-id"}
    expect("consentkit's cookies", visitor.jar.names() & ours, NOTHING)


VISITS: tuple[Check, ...] = (
    implied_banner,
    implied_accept,
    implied_opt_out,
    implied_change_of_mind,
    opt_in_before,
    opt_in_fair,
    opt_in_refuse,
    opt_in_accept,
    opt_in_partly,
    implied_is_no_consent,
    opt_out_and_signal,
    signal_and_grant,
    refusal_travels,
    unknown_region,
    languages,
    caching,
    reading_writes_nothing,
)
