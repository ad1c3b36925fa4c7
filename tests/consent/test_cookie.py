"""The consent cookie: what is written comes back, and whatever else comes grants nothing."""

import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from consentkit.consent import (
    NOTHING,
    Answer,
    Basis,
    Control,
    Decisions,
    IdCookie,
    Reason,
    Signals,
    Story,
    decide,
    resolve,
)
from consentkit.consent.cookie import (
    CONSENT_NAMES,
    MAX_VALUE,
    UNSIGNED_REFUSAL,
    decode,
    encode,
    encode_id,
    fit,
    parse_cookie_headers,
    parse_id,
    read,
)
from consentkit.consent.decision import end_of_day
from consentkit.keys import CookieKey, CookieKeys
from consentkit.policy import Policy, PolicyHistory
from tests.consent.worlds import (
    DAY,
    HISTORY,
    HOUR,
    NOW,
    POLICY,
    WIDER,
    after,
    decided,
    document,
    regions,
    service,
    signals,
    visit,
)

OLD, NEW = CookieKey("aaaa", b"o" * 32, "sign"), CookieKey("bbbb", b"n" * 32, "verify")
KEYS = CookieKeys((OLD, NEW))
SCOPE = "host:example.com"
SCOPES = dict.fromkeys(CONSENT_NAMES, SCOPE) | {"__Secure-consent": "domain:example.com"}
ID = encode_id(IdCookie("h" * 21 + "A", 7, "example.com/consent"))
accept, refuse = Answer(Control.ACCEPT_ALL), Answer(Control.REFUSE_ALL)
NAME = "__Host-consent"


def written(decisions, *, history=HISTORY, keys=KEYS, scope=SCOPE):
    return encode(fit(decisions, history), history, keys, scope, ID)


def decoded(value, id_value=ID, *, history=HISTORY, keys=KEYS, scope=SCOPE, now=NOW):
    return decode(value, id_value, history=history, keys=keys, scope=scope, now=now)


def request(*pairs, name=NAME, now=NOW):
    return read(list(pairs), history=HISTORY, keys=KEYS, scopes=SCOPES, name=name, now=now)


def carried(value, id_value=ID, name=NAME):
    pairs = [(name.encode(), value.encode())]
    return [*pairs, (f"{name}-id".encode(), id_value.encode())] if id_value else pairs


def plain(decisions: Decisions) -> Decisions:
    """Refusals do not carry whether a signal was shown, and a blanket's flag needs its blanket."""
    return evolve(
        decisions,
        unreadable=False,
        blanket_exempt=decisions.blanket_exempt and decisions.blanket is not None,
    )


@given(decided())
def test_round_trip(decisions):
    """What was encoded is decoded, times and bases and policies included."""
    if not list(decisions.stories()):
        return
    value = written(decisions)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", value)
    assert len(value) <= MAX_VALUE
    assert decoded(value) == plain(decisions)


@given(decided(), st.data())
def test_one_changed_character_makes_it_unreadable(decisions, data):
    """No single character can be changed, taken away or added."""
    if not list(decisions.stories()):
        return
    value = written(decisions)
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.sampled_from("ABab019._~-").filter(lambda c: c != value[at]))
    for changed in (value[:at] + other + value[at + 1 :], value[:at] + value[at + 1 :], value + other):
        assert decoded(changed).unreadable


@given(
    st.one_of(
        st.text(max_size=500),
        st.from_regex(r"1\.aaaa\.[A-Za-z0-9_~.-]{0,60}\.[A-Za-z0-9_-]{43}", fullmatch=True),
    )
)
def test_any_text_is_unreadable_or_a_refusal(text):
    """Decoding never raises and never grants."""
    result = decoded(text)
    assert result.unreadable or (text == UNSIGNED_REFUSAL and not result.grants)


@given(
    st.lists(st.tuples(st.sampled_from([n.encode() for n in CONSENT_NAMES]), st.binary(max_size=80))),
    regions,
    signals,
)
def test_no_cookie_that_we_did_not_sign_grants_anything(pairs, region, signal):
    """Whatever stands in our cookies, nothing is allowed because of it that would not be without."""
    state = request(*pairs)
    consent = resolve(HISTORY, region, state.decisions, signal, NOW)
    without = resolve(HISTORY, region, NOTHING, signal, NOW)
    assert consent.granted <= without.granted
    assert not state.present or consent.granted == {"necessary"}


@pytest.mark.parametrize("value", [b"yes", b"", b"1", b"true", b"accepted"])
def test_another_softwares_cookie_called_consent_is_not_ours(value):
    """A plain `consent` that cannot be ours is left alone where the name in use is another."""
    assert request((b"consent", value)).present == frozenset()
    assert request((b"consent", value), name="consent").decisions.unreadable


@pytest.mark.parametrize("name", ["consent-id", "__Host-consent-id"])
def test_an_id_cookie_is_no_refusal(name):
    """The unsigned refusal counts in the consent cookie alone."""
    assert not request((name.encode(), UNSIGNED_REFUSAL.encode())).unsigned


def test_a_grant_without_its_id_cookie_is_unreadable():
    """A grant is bound to the id cookie: another visitor's, or none, makes it unreadable."""
    value = written(visit(accept))
    other = encode_id(IdCookie("i" * 21 + "A", 7, "example.com/consent"))
    assert not decoded(value).unreadable
    assert decoded(value, None).unreadable
    assert decoded(value, other).unreadable
    with pytest.raises(ValueError, match="id cookie"):
        encode(visit(accept), HISTORY, KEYS, SCOPE, None)


def test_a_refusal_needs_no_id_cookie_and_ignores_a_stale_one():
    """Who only refuses carries nothing that identifies, and a leftover id changes nothing."""
    value = written(visit(refuse))
    assert decoded(value, None) == decoded(value, ID) == visit(refuse)


def test_two_refusals_on_one_day_are_the_same_bytes():
    """Two people who refuse on one UTC day cannot be told apart by their cookies."""
    rule = POLICY.regime_for("FR")
    midnight = NOW - NOW % DAY
    values = {
        written(decide(HISTORY, NOTHING, refuse, rule, midnight + at).decisions) for at in (0, HOUR, DAY - 1)
    }
    assert len(values) == 1
    assert written(decide(HISTORY, NOTHING, refuse, rule, midnight + DAY).decisions) not in values


def test_withdrawing_everything_leaves_a_refusal_that_identifies_nobody():
    """After a full withdrawal the cookie is the one of a visitor who never granted anything."""
    assert written(visit(accept, refuse)) == written(visit(refuse))


def test_scope_binds_the_value_to_its_host():
    """A value signed for one host means nothing on another or for a shared domain."""
    value = written(visit(refuse))
    assert decoded(value, scope="host:other.example").unreadable
    assert decoded(value, scope="domain:example.com").unreadable


def test_keys_rotate_in_two_phases():
    """A new key verifies everywhere before it signs; a retired one makes values unreadable."""
    before = written(visit(refuse))
    rotated = CookieKeys((evolve(OLD, use="verify"), evolve(NEW, use="sign")))
    newer = written(visit(refuse), keys=rotated)
    assert newer.split(".")[1] == "bbbb"
    assert decoded(newer, keys=KEYS) == decoded(before, keys=rotated) == visit(refuse)
    assert decoded(before, keys=CookieKeys((evolve(NEW, use="sign"),))).unreadable


def test_a_policy_unknown_here_is_unreadable():
    """A value that names a policy which was never in force here cannot be used."""
    value = written(visit(refuse, history=after(WIDER)), history=after(WIDER))
    assert decoded(value).unreadable


@pytest.mark.parametrize(("ahead", "unreadable"), [(300_000, False), (300_001, True)])
def test_a_date_in_the_future_is_unreadable_beyond_the_skew(ahead, unreadable):
    """300 s of difference between clocks are allowed, not a millisecond more."""
    story = Story(granted=True, basis=Basis.EXPRESS, time=NOW + ahead, policy=POLICY.digest)
    value = written(Decisions({"analytics": story}))
    assert decoded(value).unreadable is unreadable


def test_unsigned_refusal_refuses_everything_exempt_categories_included():
    """The script's constant counts as a refusal made now, and reaches what a regime exempts."""
    state = request((b"__Host-consent", UNSIGNED_REFUSAL.encode()))
    assert state.unsigned
    for region in ("FR", "IT", "US-CA", "ZA", "AU"):
        consent = resolve(HISTORY, region, state.decisions, Signals(), NOW)
        assert consent.granted == {"necessary"}
        assert consent.reason("analytics") is Reason.REFUSED
    assert state.decisions.blanket.time == end_of_day(NOW)


def test_a_refusal_under_any_name_counts():
    """A refusal under another of the cookie's names wins over the grants under the name in use."""
    granted = carried(written(visit(accept)))
    for other, scope in (("consent", SCOPE), ("__Secure-consent", "domain:example.com")):
        refusal = (other.encode(), written(visit(refuse), scope=scope).encode())
        consent = resolve(HISTORY, "US-CA", request(*granted, refusal).decisions, Signals(), NOW)
        assert consent.granted == {"necessary"}


def test_a_grant_under_another_name_does_not_count():
    """Grants count under the name in use alone, so that a sibling host cannot plant one."""
    state = request(*carried(written(visit(accept)), name="consent"))
    assert not state.decisions.grants
    assert state.present == {"consent", "consent-id"}


def test_T16_duplicates_are_unreadable():
    """T16: the same name twice is neither the first nor the last, but unreadable."""
    pairs = carried(written(visit(accept)))
    assert request(*pairs, pairs[0]).decisions.unreadable
    assert request(*pairs, pairs[1]).decisions.unreadable


@pytest.mark.parametrize("junk", [b'bad={"x":1}', b"b[0]=2", b"flag", b"k@=2", b"=", b"\xff\xfe=\x80"])
def test_T16_a_strange_neighbour_hides_nothing(junk):
    """T16: cookies around ours that other parsers choke on do not lose ours."""
    value = written(visit(refuse)).encode()
    pairs = parse_cookie_headers([junk + b"; __Host-consent=" + value + b"; " + junk])
    assert request(*pairs).decisions == visit(refuse)


def test_T16_split_cookie_headers_are_one():
    """T16: HTTP/2 may split the header into crumbs; all of them are read."""
    value = written(visit(accept)).encode()
    pairs = parse_cookie_headers([b"a=1", b"__Host-consent=" + value, b"__Host-consent-id=" + ID.encode()])
    assert request(*pairs).decisions == visit(accept)


@pytest.mark.parametrize(
    "space", [b"\xc2\xa0", b"\xa0", b"\x85", b"\x1f", b"\x0b", "\u2000".encode(), "\u3000".encode()]
)
def test_T17_no_space_but_space_and_tab_is_stripped_from_names(space):
    """T17: a name that only looks like `__Host-consent` once it is stripped is not ours."""
    header = space + b"__Host-consent=" + written(visit(accept)).encode()
    assert request(*parse_cookie_headers([header])).present == frozenset()


def test_T19_the_largest_value_fits():
    """T19: eight categories and twenty services, each decided on its own, fit 400 bytes."""
    names = [f"category-{n}" for n in range(5)]
    services = {f"service-{n:02}": service((*names, "analytics")[n % 6]) for n in range(20)}
    policy = Policy.from_dict(document(services, "9", *names))
    assert len(policy.category_ids) == 8
    history, every = PolicyHistory(policy), {}
    every |= {
        name: Story(granted=True, basis=Basis.EXPRESS, time=NOW - n, policy=policy.digest)
        for n, name in enumerate((*policy.category_ids, *policy.service_ids))
    }
    decisions = Decisions(
        {n: every[n] for n in policy.category_ids}, {n: every[n] for n in policy.service_ids}
    )
    value = encode(decisions, history, KEYS, SCOPE, ID)
    assert len(value) <= MAX_VALUE
    assert decoded(value, history=history) == decisions


def test_T19_what_does_not_fit_loses_grants_never_refusals():
    """T19: stories under too many policies give up the oldest grants first; every refusal stays."""
    many = {f"service-{n:02}": service("analytics") for n in range(20)}
    policies = [Policy.from_dict(document(many, str(n))) for n in range(20)]
    history = PolicyHistory(policies[0], tuple(policies[1:]))
    services = {
        name: Story(n > 0, Basis.EXPRESS, NOW - n, policies[n].digest) for n, name in enumerate(sorted(many))
    }
    value = written(Decisions({}, services), history=history)
    kept = decoded(value, history=history).services
    assert len(value) <= MAX_VALUE
    assert not kept["service-00"].granted
    assert kept["service-01"].granted
    assert "service-19" not in kept


def test_T19_refusals_that_do_not_fit_become_one_of_everything():
    """T19: where even the refusals are too many, everything is refused."""
    many = {f"service-{n:02}": service("analytics") for n in range(20)}
    policies = [Policy.from_dict(document(many, str(n))) for n in range(20)]
    history = PolicyHistory(policies[0], tuple(policies[1:]))
    services = {
        name: Story(False, Basis.EXPRESS, NOW - n, policies[n].digest) for n, name in enumerate(sorted(many))
    }
    decisions = decoded(written(Decisions({}, services), history=history), None, history=history)
    assert resolve(history, "US-CA", decisions, Signals(), NOW).granted == {"necessary"}


@given(st.text(max_size=60))
def test_id_cookies_parse_only_what_is_written(text):
    """Reading an id cookie gives None or the value that writes the same text."""
    cookie = parse_id(text)
    assert cookie is None or encode_id(cookie) == text


def test_id_cookie_round_trip():
    """An id cookie holds the history, the entry and the log's name."""
    cookie = IdCookie("h" * 21 + "A", 12345, "example.com/consent/2026")
    assert parse_id(encode_id(cookie)) == cookie


def test_nothing_decided_is_nothing_to_write():
    """Without a decision there is no cookie, and what does not fit is not cut in silence."""
    with pytest.raises(ValueError, match="nothing"):
        encode(NOTHING, HISTORY, KEYS, SCOPE, None)
