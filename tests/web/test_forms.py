"""A posted decision becomes an answer, or a clear refusal, never an error."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentkit.consent import Answer, Control, NoticeRef
from consentkit.errors import BadRequest
from consentkit.policy import Model
from consentkit.web.forms import Submission, answer_to, parse_submission
from tests.web import sites

FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"
DIGEST = "ab" * 32
POLICY = sites.policy()


def form(*fields: tuple[str, str], kind: bytes = FORM) -> Submission:
    """A form with these fields, parsed."""
    return parse_submission(kind, urlencode(fields).encode())


def document(value: object, kind: bytes = JSON) -> Submission:
    """A JSON body, parsed."""
    return parse_submission(kind, json.dumps(value).encode())


def refused(kind: bytes, body: bytes) -> BadRequest:
    """The refusal that a body meets."""
    with pytest.raises(BadRequest) as caught:
        parse_submission(kind, body)
    return caught.value


def test_a_form_is_read() -> None:
    """All fields of a notice's form; names are separated by spaces, a toggle that is on comes by itself."""
    found = form(
        ("control", "save"), ("notice", DIGEST), ("policy", DIGEST), ("asked", "analytics marketing"),
        ("shown", "analytics"), ("on", "marketing"), ("on", "adnet"), ("signal", "1"), ("method", "preferences"),
        ("other", "x"),
    )  # fmt: skip
    assert found == Submission(
        control=Control.SAVE, notice=DIGEST, policy=DIGEST, asked=("analytics", "marketing"),
        shown=frozenset({"analytics"}), on=frozenset({"marketing", "adnet"}), signal=True, method="preferences",
    )  # fmt: skip


def test_json_says_the_same() -> None:
    """Lists or texts, true or "1", and whatever else is in it does not matter."""
    expected = form(("control", "save"), ("asked", "a b"), ("on", "a"), ("signal", "1"))
    assert (
        document({"control": "save", "asked": ["a", "b"], "on": ["a"], "signal": True, "x": {}}) == expected
    )
    assert document({"control": "save", "asked": "a b", "on": "a", "signal": "1", "shown": None}) == expected


@pytest.mark.parametrize("kind", [FORM + b"; charset=UTF-8", b" Application/X-WWW-Form-URLencoded ;x=y"])
def test_a_content_type_may_have_parameters(kind: bytes) -> None:
    """A script's form says its charset."""
    assert form(("control", "accept"), kind=kind).control is Control.ACCEPT_ALL


@pytest.mark.parametrize(
    "kind", [b"multipart/form-data; boundary=x", b"text/plain", b"", b"application/jsonx", b"\xff"]
)
def test_another_kind_of_body_is_415(kind: bytes) -> None:
    """Multipart included: it would need a parser, and a notice's form is not sent that way."""
    assert refused(kind, b"control=accept").status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"control=",
        b"control=agree",
        b"control=accept&control=refuse",
        b"control=accept&notice=x",
        b"control=accept&notice=" + DIGEST.upper().encode(),
        b"control=accept&policy=%00",
        b"control=accept&asked=Analytics",
        b"control=accept&on=a%2Fb",
        b"control=accept&on=" + b"a" * 65,
        b"control=accept&signal=yes",
        b"control=accept&method=A",
        b"control=accept&x=1&x=2",
        b"control=%ff",
        b"control=accept&on=%E9",
        "control=accept&x=é".encode(),
        b"&".join([b"control=accept"] + [b"on=a"] * 600),
    ],
)
def test_a_form_that_cannot_be_understood_is_400(body: bytes) -> None:
    """With a sentence that says which field, and nothing of the value."""
    error = refused(FORM, body)
    assert error.status == 400
    assert error.message.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        [],
        "accept",
        None,
        {},
        {"control": None},
        {"control": ["accept"]},
        {"control": 1},
        {"control": "accept", "notice": 1},
        {"control": "accept", "asked": {"a": 1}},
        {"control": "accept", "asked": [1]},
        {"control": "accept", "on": [["a"]]},
        {"control": "accept", "on": True},
        {"control": "accept", "on": ["a"] * 600},
        {"control": "accept", "signal": 1.5},
        {"control": "accept", "signal": []},
        {"control": "accept", "method": {}},
    ],
)
def test_json_of_wrong_types_is_400(value: object) -> None:
    """Each field has its type."""
    assert refused(JSON, json.dumps(value).encode()).status == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"control": NaN}', b'{"control":"accept","control":"refuse"}', b"[" * 100_000],
)
def test_what_is_no_json_is_400(body: bytes) -> None:
    """A name that comes twice and a depth that no parser takes included."""
    assert refused(JSON, body).status == 400


def outcome(kind: bytes, body: bytes) -> object:
    """How a body fares: read, or refused with a status."""
    try:
        parse_submission(kind, body)
    except BadRequest as error:
        return error.status
    return "read"


@given(st.sampled_from([FORM, JSON, b"x"]), st.binary(max_size=200))
def test_any_body_is_read_or_refused(kind: bytes, body: bytes) -> None:
    """Nothing that is posted makes the parser fail otherwise."""
    assert outcome(kind, body) in ("read", 400, 415)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["control", "notice", "policy", "asked", "shown", "on", "signal", "method"]),
        json_values | st.just("accept"),
    )
)
def test_any_json_object_is_read_or_refused(value: dict[str, object]) -> None:
    """Whatever types its fields have."""
    assert outcome(JSON, json.dumps(value).encode()) in ("read", 400)


NOTICE = NoticeRef(DIGEST, POLICY.digest, "en", Model.OPT_IN, "bar", "consentkit/1")


def answer(notice: NoticeRef | None = NOTICE, **fields: object) -> Answer:
    """The answer that a submission is."""
    made = Submission(control=Control.SAVE, notice=DIGEST, **fields)  # type: ignore[arg-type]
    return answer_to(made, notice, POLICY)


def test_each_toggle_is_a_choice() -> None:
    """On as posted; what was asked and not posted is off."""
    found = answer(
        asked=("analytics", "marketing"), shown=frozenset({"marketing"}), on=frozenset({"analytics"})
    )
    assert found.choices == {"analytics": True, "marketing": False}
    assert found.shown == {"analytics": False, "marketing": True}
    assert found.notice is NOTICE


def test_a_category_ticked_alone_takes_its_services_along() -> None:
    """No service was ticked, none was shown on: none has a choice of its own."""
    assert answer(asked=("marketing",), on=frozenset({"marketing"})).choices == {"marketing": True}


def test_a_service_ticked_alone_leaves_its_siblings_off() -> None:
    """A form posts no toggle that is off: the sibling's silence is a no."""
    found = answer(asked=("marketing",), on=frozenset({"marketing", "adnet"}))
    assert found.choices == {"marketing": True, "adnet": True, "clips": False}


def test_a_service_that_was_switched_off_is_refused() -> None:
    """Although it was the only one and its category stayed on: switching it off was an act."""
    found = answer(
        asked=("analytics",), shown=frozenset({"analytics", "pagecount"}), on=frozenset({"analytics"})
    )
    assert found.choices == {"analytics": True, "pagecount": False}


def test_where_it_is_not_said_how_toggles_were_shown_each_is_an_act() -> None:
    """A client of one's own says what is wanted, and every word of it counts."""
    found = answer(asked=("analytics", "marketing"), on=frozenset({"analytics"}))
    assert found.choices == {"analytics": True, "marketing": False}
    assert found.shown == {"analytics": False, "marketing": True}


def test_a_name_of_no_policy_is_passed_on() -> None:
    """A page may be older or newer than the policy; who decides knows what to make of it."""
    assert answer(asked=("vanished",), on=frozenset({"vanished"})).choices == {"vanished": True}


@pytest.mark.parametrize(
    "notice", [None, NoticeRef(DIGEST, "cd" * 32, "en", Model.IMPLIED, "bar", "consentkit/1")]
)
def test_an_unknown_notice_can_only_refuse(notice: NoticeRef | None) -> None:
    """Not published here, or made from another policy than the form says: it stands for no policy at all."""
    found = answer(notice, policy=POLICY.digest)
    assert found.notice is not None
    assert (found.notice.digest, found.notice.policy, found.notice.model) == (DIGEST, "", Model.OPT_IN)


def test_toggles_of_which_nothing_is_said_are_all_acts() -> None:
    """A client that does not say how its toggles were shown means each of them: on allows, off refuses."""
    answer = answer_to(
        document({"control": "save", "asked": ["analytics", "marketing"], "on": ["analytics"]}), None, POLICY
    )
    assert answer.choices == {"analytics": True, "marketing": False}
    assert answer.shown == {"analytics": False, "marketing": True}
