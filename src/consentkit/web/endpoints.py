"""consentkit's own endpoints, below one prefix: pages, the decision, the state, and what never changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs

from consentkit.banner import asset, declaration_page, error_page, preferences_page
from consentkit.consent.decision import Answer, NoticeRef
from consentkit.consent.resolve import Consent
from consentkit.errors import BadRequest
from consentkit.policy import NECESSARY
from consentkit.web.caching import VARY_TEXT
from consentkit.web.forms import answer_to, parse_submission
from consentkit.web.front import GPC_PATH, Front, signal_shown
from consentkit.web.origin import check_origin, return_path
from consentkit.web.protocol import Decided
from consentkit.web.repeats import idempotency_key
from consentkit.web.request import Request
from consentkit.web.tickets import QUERY, ticket_in

__all__ = ["Response", "arespond", "reads_storage", "respond", "state"]


@attrs.frozen
class Response:
    """A whole response. Names of header fields are lower-case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


_HTML = b"text/html; charset=utf-8"
_JSON = b"application/json"
_PERSONAL = ((b"cache-control", b"private, no-store"), (b"vary", b", ".join(VARY_TEXT)))
_GUARDS = (
    (b"x-content-type-options", b"nosniff"),
    # A page that is not told where a post comes from cannot be posted from: see `origin`.
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
)
_FOREVER = b"public, max-age=31536000, immutable"
_FOR_AN_HOUR = b"public, max-age=3600"


def respond(front: Front, request: Request, body: bytes | None) -> Response:
    """Answer a request to an endpoint, a refused one included; never raises for what a visitor sent.

    `body` is None when it did not fully arrive. Waits for storage where a decision is to be recorded.
    """
    try:
        if _is_decision(front, request):
            decided = front.manager.decide_for(
                request, _answer_from(front, request, body), idempotency_key(request)
            )
            return _decision(front, request, decided)
        return _read(front, request)
    except BadRequest as error:
        return _refusal(front, request, error)


async def arespond(front: Front, request: Request, body: bytes | None) -> Response:
    """Do as `respond` does, without holding up the event loop for a decision; see `reads_storage`."""
    try:
        if _is_decision(front, request):
            decided = await front.manager.adecide_for(
                request, _answer_from(front, request, body), idempotency_key(request)
            )
            return _decision(front, request, decided)
        return _read(front, request)
    except BadRequest as error:
        return _refusal(front, request, error)


def reads_storage(front: Front, request: Request) -> bool:
    """Tell whether the answer is read from storage, which an event loop should leave to a thread."""
    tail = _tail(front, request.path)
    return tail == "receipt" or tail.startswith(_LOG)


def _is_decision(front: Front, request: Request) -> bool:
    if _tail(front, request.path) != "decision":
        return False
    _allow(request, "POST")
    return True


def _tail(front: Front, path: str) -> str:
    return path if path == GPC_PATH else path[len(front.prefix) :].strip("/")


def _read(front: Front, request: Request) -> Response:
    tail = _tail(front, request.path)
    endpoint = _READ.get(tail) or next((e for begin, e in _BELOW.items() if tail.startswith(begin)), None)
    if endpoint is None:
        raise BadRequest("there is no such page here", status=404)
    _allow(request, "GET", "HEAD")
    answer = endpoint(front, request)
    return attrs.evolve(answer, body=b"") if request.method == "HEAD" else answer


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise _WrongMethod(", ".join(methods))


class _WrongMethod(BadRequest):
    """The endpoint is there, and takes the methods `allow` only."""

    def __init__(self, allow: str) -> None:
        super().__init__(f"this takes {allow} only", status=405)
        self.allow = allow


class _NoReceipt(BadRequest):
    """Nothing in the request leads to a record: its visitor only ever refused, or has withdrawn everything."""

    text = "receipt"

    def __init__(self) -> None:
        super().__init__(
            "nothing here leads to a record: whoever only refuses carries nothing that identifies, so a receipt is "
            "offered in the answer to the refusal, for an hour",
            status=404,
        )


def _preferences(front: Front, request: Request, message: str | None = None) -> Response:
    visit = front.manager.visit(request)
    cookies = (*visit.set_cookies, *front.deletions(request, visit.consent))
    return _choices(front, request, visit.consent, cookies, message)


def _choices(
    front: Front, request: Request, consent: Consent, cookies: tuple[bytes, ...], message: str | None
) -> Response:
    page = preferences_page(
        front.policy,
        front.notice(consent, front.manager.language(request), every=True),
        consent=consent,
        signals_shown=signal_shown(consent),
        urls=front.urls(request),
        message=message,
        ticket=ticket_in(request),
    )
    return _answer(200, _HTML, page, *_PERSONAL, *_set(cookies))


def _declaration(front: Front, request: Request) -> Response:
    page = declaration_page(front.policy, front.manager.language(request), urls=front.urls(request))
    # The same for everybody who reads this language; a language of the site's own choosing may hang on a cookie.
    return _answer(
        200, _HTML, page, (b"cache-control", b"private, max-age=300"), (b"vary", b"Accept-Language, Cookie")
    )


def _state(front: Front, request: Request) -> Response:
    visit = front.manager.visit(request)
    cookies = (*visit.set_cookies, *front.deletions(request, visit.consent))
    return _json(200, state(front, request, visit.consent), *_PERSONAL, *_set(cookies))


def state(front: Front, request: Request, consent: Consent) -> dict[str, Any]:
    """Say in JSON what a visitor's consent is: what the page's script and native clients read.

    `granted` lists every category and service that is allowed at present, but for `necessary` itself.
    """
    policy = consent.policy
    names = sorted(policy.names - {NECESSARY})
    categories = {category.id for category in policy.categories} | {NECESSARY}
    answers = {
        n: {"allowed": consent.allows(n), "reason": str(consent.reason(n))} for n in sorted(policy.names)
    }
    return {
        "categories": {name: answer for name, answer in answers.items() if name in categories},
        "services": {name: answer for name, answer in answers.items() if name not in categories},
        "granted": [name for name in names if consent.allows(name)],
        "needsPrompt": consent.needs_prompt,
        "prompt": list(consent.prompt),
        "region": consent.region,
        "regime": consent.regime.id,
        "model": str(consent.regime.model),
        "language": front.manager.language(request),
        "gpc": consent.signals.gpc,
        "policy": {"digest": policy.digest, "version": policy.version},
    }


def _policy(front: Front, request: Request) -> Response:
    return _tagged(request, _JSON, front.policy.canonical, front.policy.digest, _FOR_AN_HOUR)


def _asset(front: Front, request: Request) -> Response:
    found = asset(_tail(front, request.path).removeprefix(_ASSETS))
    if found is None:
        raise BadRequest("there is no such file here", status=404)
    return _tagged(request, found.media_type.encode("ascii"), found.body, found.name, _FOREVER)


def _log_file(front: Front, request: Request) -> Response:
    """Give a file of the public log, where the site serves it: to every origin, since it is for everybody."""
    name = _tail(front, request.path).removeprefix(_LOG)
    found = front.manager.log_file(name) if front.options.serve_log else None
    if found is None:
        raise BadRequest("there is no such file here", status=404)
    tile = name.startswith("tile/")
    caching = _FOREVER if tile else b"no-cache"
    kind = b"application/octet-stream" if tile else b"text/plain; charset=utf-8"
    return _answer(200, kind, found, (b"cache-control", caching), (b"access-control-allow-origin", b"*"))


def _tagged(request: Request, kind: bytes, body: bytes, tag: str, caching: bytes) -> Response:
    """Answer with something that is the same for everybody, or that it has not changed (RFC 9110 section 13.1.2)."""
    etag = f'"{tag}"'.encode("ascii")
    shared = ((b"etag", etag), (b"cache-control", caching))
    known = [
        part.strip().removeprefix(b"W/")
        for v in request.header_values(b"if-none-match")
        for part in v.split(b",")
    ]
    if etag in known or known == [b"*"]:
        return Response(304, [*shared, *_GUARDS], b"")
    return _answer(200, kind, body, *shared)


def _gpc(front: Front, request: Request) -> Response:
    """Say whether Global Privacy Control is honoured (W3C GPC section 5), as of when this process opened."""
    del request
    honoured = any(regime.gpc for regime in front.policy.regimes)
    since = datetime.fromtimestamp(front.opened / 1000, UTC).date().isoformat()
    return _json(200, {"gpc": honoured, "lastUpdate": since}, (b"cache-control", _FOR_AN_HOUR))


def _receipt(front: Front, request: Request) -> Response:
    found = front.manager.receipt(request)
    if found is None:
        raise _NoReceipt
    disposition = (b"content-disposition", b'attachment; filename="consent-receipt.json"')
    return _answer(200, _JSON, found, disposition, *_PERSONAL)


_READ: dict[str, Callable[[Front, Request], Response]] = {
    "": _preferences,
    "state": _state,
    "policy": _policy,
    "cookies": _declaration,
    "receipt": _receipt,
    GPC_PATH: _gpc,
}
_ASSETS, _LOG = "assets/", "log/"
_BELOW: dict[str, Callable[[Front, Request], Response]] = {_ASSETS: _asset, _LOG: _log_file}


def _decision(front: Front, request: Request, decided: Decided) -> Response:
    deletions = front.deletions(request, decided.consent, decided.withdrawn, first=True)
    cookies = (*decided.set_cookies, *deletions)
    status, extra = _status(decided)
    if _wants_json(request):
        return _json(status, _outcome(front, request, decided), *_PERSONAL, *extra, *_set(cookies))
    if decided.grants_dropped or decided.device_only or decided.conflict:
        message = "local" if decided.device_only and not decided.grants_dropped else "again"
        page = _choices(front, request, decided.consent, cookies, message)
        return attrs.evolve(page, status=status, headers=[*page.headers, *extra])
    location = (b"location", return_path(request, front.options).encode("ascii"))
    return _answer(303, _HTML, b"", location, *_PERSONAL, *_set(cookies))


def _status(decided: Decided) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Give the status of an answer that is no redirect: too many at once (503) and a key used before (409) have one."""
    if decided.conflict:
        return 409, []
    if decided.retry_after is not None and decided.grants_dropped:
        return 503, [(b"retry-after", str(decided.retry_after).encode("ascii"))]
    return 200, []


def _answer_from(front: Front, request: Request, body: bytes | None) -> Answer:
    check_origin(request, front.options)
    if body is None:
        raise BadRequest("the decision did not fully arrive", status=408)
    if len(body) > front.options.max_body:
        raise BadRequest(f"a decision takes {front.options.max_body} bytes at most", status=413)
    kinds = request.header_values(b"content-type")
    submission = parse_submission(kinds[0] if len(kinds) == 1 else b"", body)
    notice = front.manager.notice_by_digest(submission.notice) if submission.notice else None
    if notice is None:
        return answer_to(submission, None, front.policy)
    shown = NoticeRef(
        notice.digest, notice.policy, notice.language, notice.model, notice.layout, notice.template
    )
    return answer_to(submission, shown, front.manager.history.find(notice.policy) or front.policy)


def _outcome(front: Front, request: Request, decided: Decided) -> dict[str, Any]:
    """Say in JSON what came of a decision; `choices` is the page of choices, with a link to the receipt if any."""
    urls = front.urls(request)
    query = f"?{QUERY}={decided.ticket}" if decided.ticket else ""
    return {
        "event": None if decided.event is None else str(decided.event),
        "recorded": decided.recorded,
        "spooled": decided.spooled,
        "deviceOnly": decided.device_only,
        "grantsDropped": decided.grants_dropped,
        "conflict": decided.conflict,
        "choices": f"{urls.preferences}{query}",
        "receipt": f"{urls.receipt}{query}" if decided.ticket else None,
        "consent": state(front, request, decided.consent),
    }


def _wants_json(request: Request) -> bool:
    return any(_JSON in value.lower() for value in request.header_values(b"accept"))


def _refusal(front: Front, request: Request, error: BadRequest) -> Response:
    extra = [*_PERSONAL]
    if isinstance(error, _WrongMethod):
        extra.append((b"allow", error.allow.encode("ascii")))
    if _wants_json(request):
        answer = _json(error.status, {"error": error.message}, *extra)
    else:
        text = getattr(error, "text", error.status)
        language, urls = front.manager.language(request), front.urls(request)
        page = error_page(front.policy, language, f"error.{text}", urls=urls)
        answer = _answer(error.status, _HTML, page, *extra)
    return attrs.evolve(answer, body=b"") if request.method == "HEAD" else answer


def _json(status: int, document: dict[str, Any], *headers: tuple[bytes, bytes]) -> Response:
    return _answer(status, _JSON, json.dumps(document, separators=(",", ":")).encode("ascii"), *headers)


def _answer(status: int, kind: bytes, body: bytes, *headers: tuple[bytes, bytes]) -> Response:
    length = str(len(body)).encode("ascii")
    return Response(status, [(b"content-type", kind), (b"content-length", length), *headers, *_GUARDS], body)


def _set(cookies: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    return [(b"set-cookie", cookie) for cookie in cookies]
