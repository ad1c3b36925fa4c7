"""What only WSGI has: late and repeated starts, `write`, iterables to close, files."""

import io
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from consentkit.adapters.wsgi import ConsentMiddleware, consent_from
from tests.adapters.drivers import Call, Chunks, environ_of
from tests.web.sites import Site

PAGE = b"<html><body>text</body></html>"
HTML = ("Content-Type", "text/html")
PLAIN = ("Content-Type", "text/plain")
LENGTH = ("Content-Length", str(len(PAGE)))
OWN = ("Sec-Fetch-Site", "same-origin")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Server:
    """The server's side: what was started, and what was written."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, list[tuple[str, str]]]] = []
        self.written: list[bytes] = []

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """Refuse what PEP 3333 refuses."""
        if exc_info is not None and self.written:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.starts and exc_info is None:
            raise RuntimeError("started twice")
        self.starts.append((status, headers))
        return self.written.append

    def run(self, app: Any, call: Call | None = None, site: Site | None = None, **environ: Any) -> bytes:
        """Serve one request, as a server does, and return the whole body."""
        iterable = ConsentMiddleware(app, site or Site())(
            environ_of(call or Call()) | environ, self.start_response
        )
        try:
            for chunk in iterable:
                if chunk:
                    assert self.starts, "a body before its start"
                    self.written.append(chunk)
        finally:
            if hasattr(iterable, "close"):
                iterable.close()
        return b"".join(self.written)

    def length(self) -> str | None:
        """The length that the last start announced."""
        return dict(self.starts[-1][1]).get("content-length", dict(self.starts[-1][1]).get("Content-Length"))


def returning(iterable: Iterable[bytes], *headers: tuple[str, str]) -> Any:
    """An application that starts at once and returns this iterable."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(headers))
        return iterable

    return app


def test_T2_a_body_that_needs_no_change_is_the_very_same_object() -> None:
    """A server may know its length, or how to send it faster."""
    chunks = [b"x"]
    middleware = ConsentMiddleware(returning(chunks, PLAIN), Site())
    assert middleware(environ_of(Call()), Server().start_response) is chunks


@pytest.mark.parametrize("headers", [(HTML, LENGTH), (HTML,)])
def test_T2_a_file_wrapper_passes_untouched(headers: tuple[tuple[str, str], ...]) -> None:
    """The server sends it its own way: HTML from a file gets no banner, and keeps its length."""
    server = Server()
    file = FileWrapper(io.BytesIO(PAGE))
    environ = environ_of(Call()) | {"wsgi.file_wrapper": FileWrapper}
    assert ConsentMiddleware(returning(file, *headers), Site())(environ, server.start_response) is file
    assert server.length() == dict(headers).get("Content-Length")


def generator(*chunks: bytes, headers: tuple[tuple[str, str], ...] = (HTML,)) -> Any:
    """An application that starts when its first piece is asked for."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(headers))
        yield from chunks

    return app


def test_T2_a_generator_starts_late() -> None:
    """At its first `next`, with or without something to inject."""
    server = Server()
    assert b"<body><link" in server.run(generator(PAGE, headers=(HTML, LENGTH)))
    assert server.length() == str(sum(map(len, server.written)))
    assert Server().run(generator(b"a", b"b", headers=(PLAIN,))) == b"ab"
    server = Server()
    assert server.run(generator()) == b""
    assert len(server.starts) == 1


def test_T2_pieces_leave_one_by_one() -> None:
    """For each piece of a stream the server gets one."""
    server = Server()
    server.run(generator(b"<html>", b"<body>", b"a", b"b"))
    assert [server.written[0], *server.written[2:]] == [b"<html>", b"a", b"b"]


@pytest.mark.parametrize("headers", [(PLAIN,), (HTML,), (HTML, LENGTH)])
def test_T2_the_iterable_is_closed_exactly_once(headers: tuple[tuple[str, str], ...]) -> None:
    """However often the server closes."""
    chunks = Chunks([PAGE])
    iterable: Any = ConsentMiddleware(returning(chunks, *headers), Site())(
        environ_of(Call()), Server().start_response
    )
    assert list(iterable)
    iterable.close()
    if iterable is not chunks:
        iterable.close()
    assert chunks.closed == 1


def test_T2_an_iterable_that_is_left_early_is_closed() -> None:
    """The client is gone; the iterable, not its iterator, has what must be freed."""
    chunks = Chunks([b"<html>", PAGE, PAGE])
    iterable: Any = ConsentMiddleware(returning(chunks, HTML), Site())(
        environ_of(Call()), Server().start_response
    )
    next(iterable)
    iterable.close()
    assert chunks.closed == 1


def test_T2_an_iterable_without_close_is_fine() -> None:
    """A list has none."""
    assert b"<link" in Server().run(returning([PAGE], HTML))


def test_T24_an_error_within_the_body_reaches_the_server_and_closes() -> None:
    """Never swallowed."""

    class Broken(Chunks):
        def __iter__(self) -> Iterator[bytes]:
            yield b"<html>"
            raise RuntimeError("broken template")

    chunks = Broken([])
    with pytest.raises(RuntimeError, match="broken template"):
        Server().run(returning(chunks, HTML, LENGTH))
    assert chunks.closed == 1


def fail(start_response: Any, *headers: tuple[str, str]) -> list[bytes]:
    """Start again, as an error handler does."""
    error = RuntimeError("broken template")
    start_response("500 Oops", list(headers), (type(error), error, None))
    return [b"sorry"]


@pytest.mark.parametrize("first", [(HTML, LENGTH), (PLAIN,), (HTML,)])
def test_T24_a_second_start_after_an_error_replaces_the_first(first: tuple[tuple[str, str], ...]) -> None:
    """As long as nothing has left."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", list(first))
        return fail(start_response, PLAIN)

    server = Server()
    assert server.run(app) == b"sorry"
    assert server.starts[-1][0] == "500 Oops"


def test_T24_a_second_start_drops_what_was_held_back() -> None:
    """A half page must not stand before the error page."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [HTML, LENGTH])
        yield b"<html>"
        yield from fail(start_response, HTML)

    server = Server()
    assert server.run(app) == b"sorry"
    assert [status for status, _ in server.starts] == ["500 Oops"]


def test_T24_an_error_after_bytes_have_left_is_the_servers() -> None:
    """It is raised where the application starts again."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [HTML])
        yield b"<html>text</html>"
        yield from fail(start_response, PLAIN)

    with pytest.raises(RuntimeError, match="broken template"):
        Server().run(app)


@pytest.mark.parametrize("headers", [(HTML, LENGTH), (HTML,), (PLAIN,)])
def test_T24_a_second_start_without_an_error_is_the_applications_mistake(
    headers: tuple[tuple[str, str], ...],
) -> None:
    """The server says so, as it would without consentkit."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", list(headers))
        start_response("200 OK", list(headers))
        return [PAGE]

    with pytest.raises(RuntimeError, match="started twice"):
        Server().run(app)


def writing(*pieces: bytes, headers: tuple[tuple[str, str], ...], rest: tuple[bytes, ...] = ()) -> Any:
    """An application that writes in the old way, and returns the rest."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", list(headers))
        for piece in pieces:
            write(piece)
        return list(rest)

    return app


@pytest.mark.parametrize(
    ("pieces", "rest"),
    [
        ((PAGE,), ()),
        ((b"<html>", b"<body>text</body></html>"), ()),
        ((b"<html>",), (b"<body>text</body></html>",)),
        ((b"<html><bo", b"dy>text"), (b"</body></html>",)),
    ],
)
@pytest.mark.parametrize("headers", [(HTML, LENGTH), (HTML,)])
def test_T2_what_is_written_is_injected_too(
    pieces: tuple[bytes, ...], rest: tuple[bytes, ...], headers: tuple[tuple[str, str], ...]
) -> None:
    """And comes before what is returned."""
    server = Server()
    sent = server.run(writing(*pieces, headers=headers, rest=rest))
    head, _, tail = sent.partition(b"<link")
    assert (head, tail[-18:]) == (b"<html><body>", b"text</body></html>")
    assert server.length() == (str(len(sent)) if LENGTH in headers else None)


def test_T2_what_is_written_to_a_plain_response_goes_to_the_server() -> None:
    """Through the server's own `write`."""
    assert Server().run(writing(b"a", b"b", headers=(PLAIN,), rest=(b"c",))) == b"abc"


@pytest.mark.parametrize("headers", [(HTML, LENGTH), (HTML,)])
def test_T2_what_was_written_without_a_tag_is_not_lost(headers: tuple[tuple[str, str], ...]) -> None:
    """It leaves when the response ends."""
    assert Server().run(writing(b"<p>x</p><", headers=headers, rest=(b"b>y",))) == b"<p>x</p><b>y"
    wrapped = FileWrapper(io.BytesIO(b"file"))

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(headers))(b"<p>x</p>")
        return wrapped

    assert Server().run(app, **{"wsgi.file_wrapper": FileWrapper}) == b"<p>x</p>file"


def test_names_keep_their_case_where_nothing_changes() -> None:
    """The application's own list reaches the server."""
    server = Server()
    server.run(returning([b"x"], PLAIN, ("X-Mixed-Case", "1")))
    assert server.starts == [("200 OK", [PLAIN, ("X-Mixed-Case", "1")])]


def test_a_path_is_decoded_as_pep_3333_says() -> None:
    """Bytes in latin-1 clothes; a request object has them as UTF-8."""
    seen: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["consentkit.exchange"].request.path)
        start_response("200 OK", [PLAIN])
        return []

    Server().run(app, Call(path="/caf\u00e9"))
    Server().run(app, PATH_INFO="/\xff")
    assert seen == ["/caf\u00e9", "/\ufffd"]


def test_consent_is_found_in_a_framework_request() -> None:
    """Whatever carries the environ."""

    class Request:
        def __init__(self, environ: Any) -> None:
            self.environ = environ

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [str(consent_from(Request(environ)).allows("analytics")).encode()]

    assert Server().run(app, Call(headers=(("X-Region", "ZA"),))) == b"True"


def never(environ: Any, start_response: Any) -> list[bytes]:
    """An application that must not be reached."""
    raise AssertionError(environ)


def post(**environ: Any) -> str:
    """The status of a posted refusal, with changes to the environ."""
    server = Server()
    server.run(never, Call("POST", "/consent/decision", (OWN, FORM), b"control=refuse"), **environ)
    return server.starts[0][0]


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("14", "303 See Other"),
        ("", "400 Bad Request"),
        ("x", "408 Request Timeout"),
        ("-1", "408 Request Timeout"),
        ("\xb2", "408 Request Timeout"),
        ("100", "408 Request Timeout"),
        ("13", "400 Bad Request"),
    ],
)
def test_a_length_is_believed_only_if_the_body_has_it(length: str, status: str) -> None:
    """Less than announced is not what the visitor sent."""
    assert post(CONTENT_LENGTH=length) == status


def test_a_body_without_a_length_is_read_where_the_server_ends_it() -> None:
    """`wsgi.input_terminated` says so; otherwise there is no body (PEP 3333)."""

    def served(**environ: Any) -> str:
        made = environ_of(Call("POST", "/consent/decision", (OWN, FORM), b"control=refuse")) | environ
        del made["CONTENT_LENGTH"]
        server = Server()
        list(ConsentMiddleware(lambda *_: [], Site())(made, server.start_response))
        return server.starts[0][0]

    assert served() == "400 Bad Request"
    assert served(**{"wsgi.input_terminated": True}) == "303 See Other"


def test_a_connection_that_breaks_is_a_body_that_did_not_arrive() -> None:
    """The server's read fails; the visitor, if still there, is told to try again."""

    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError

    assert post(**{"wsgi.input": Broken()}) == "408 Request Timeout"
