"""The adapters behind real servers on loopback, with a real ledger."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from consentkit.keys import write_keys
from consentkit.policy import Model
from tests.adapters.served import PAGE
from tests.support import Server
from tests.web.sites import Site

SERVERS = {
    "uvicorn": ("asgi_app", ()),
    "gunicorn": ("wsgi_app", ("--threads", "4", "--workers", "1")),
}
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A running site."""
    folder = tmp_path_factory.mktemp("site")
    write_keys(folder / "keys", "example.com/log")
    app, options = SERVERS[request.param]
    env = {"CONSENTKIT_SITE": str(folder)}
    running: Server = serve(f"tests.adapters.served:{app}", server=request.param, options=options, env=env)
    running.folder = folder  # type: ignore[attr-defined]
    httpx.get(
        f"{running.url}/allowed", timeout=20
    ).raise_for_status()  # a port may be open before its application
    return running


@pytest.fixture
def browser(site: Server) -> Iterator[httpx.Client]:
    """A client that keeps cookies and its connection, in France."""
    with httpx.Client(base_url=site.url, headers={"X-Region": "FR"}, timeout=10) as client:
        yield client


def decision(control: str, **more: str) -> dict[str, str]:
    """The fields of an answer to the notice of the site's policy."""
    notice = Site().notice("en", Model.OPT_IN)
    fields = {"control": control, "notice": notice.digest, "policy": notice.policy}
    return {**fields, "asked": "analytics marketing", **more}


def records(site: Server) -> int:
    """How many entries the site's ledger has."""
    folder: Path = site.folder  # type: ignore[attr-defined]
    connection = sqlite3.connect(folder / "consent.db")
    try:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        return max(connection.execute(f"select count(*) from {table}").fetchone()[0] for table in tables)
    finally:
        connection.close()


def test_pages_get_the_banner_and_connections_stay_open(browser: httpx.Client) -> None:
    """Lengths are right: one page after the other over one connection, none cut and none too long."""
    for _ in range(3):
        answer = browser.get("/")
        assert answer.text.startswith("<!doctype html><html><head><title>News</title></head><body><link")
        assert answer.text.endswith("news</body></html>")
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["cache-control"] == "private"


def test_T5_head_is_answered_as_get_would_be(browser: httpx.Client) -> None:
    """And the connection goes on."""
    answer = browser.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert browser.get("/allowed").text == "False"


def test_a_visitors_choice_is_recorded_obeyed_and_withdrawn(site: Server, browser: httpx.Client) -> None:
    """The whole way: refused cookies, accept, receipt, cookies, refuse, and what was left is expired."""
    assert set(browser.get("/cookies").cookies) == {"session"}
    before = records(site)
    answer = browser.post(
        "/consent/decision", data=decision("accept"), headers={**OWN, "Referer": f"{site.url}/allowed"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/allowed")
    assert records(site) == before + 1
    assert browser.get("/allowed").text == "True"
    receipt = browser.get("/consent/receipt").json()
    assert receipt["record"]
    assert set(browser.get("/cookies").cookies) == {"session", "_pc_id", "ad_uid"}
    answer = browser.post(
        "/consent/decision", data=decision("refuse"), headers={**OWN, "Accept": "application/json"}
    )
    assert (answer.json()["event"], answer.json()["recorded"]) == ("withdrawn", True)
    assert set(browser.cookies) == {"session", "consent"}
    assert browser.get("/allowed").text == "False"
    assert browser.get("/consent/receipt").status_code == 404


def test_an_implied_notice_is_acknowledged(browser: httpx.Client) -> None:
    """Where that is enough; in France it grants nothing."""
    browser.headers["X-Region"] = "ZA"
    page = browser.get("/").text
    assert 'value="acknowledge"' in page
    digest = page.partition('name="notice" value="')[2][:64]
    answer = browser.post("/consent/decision", data=decision("acknowledge", notice=digest), headers=OWN)
    assert answer.status_code == 303
    assert 'value="acknowledge"' not in browser.get("/").text
    browser.headers["X-Region"] = "FR"
    assert browser.get("/allowed").text == "False"


def test_T1_a_stream_is_not_held_up(browser: httpx.Client, site: Server) -> None:
    """The first piece is here before the application goes on."""
    with browser.stream("GET", "/stream") as answer:
        pieces = answer.iter_raw()
        first = next(pieces)
        assert b"<html>" in first
        assert httpx.get(f"{site.url}/go", timeout=10).text == "going"
        rest = first + b"".join(pieces)
    assert rest.startswith(b"<html><body><link")
    assert rest.endswith(b"onetwo</body></html>")


def test_a_body_may_come_in_chunks(browser: httpx.Client) -> None:
    """Without a length."""
    body = "&".join(
        f"{name}={value.replace(' ', '+')}" for name, value in decision("refuse").items()
    ).encode()
    headers = {**OWN, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    answer = browser.post("/consent/decision", content=iter([body[:10], body[10:]]), headers=headers)
    assert answer.json()["event"] == "refused"


def test_T20_a_long_body_is_refused(browser: httpx.Client) -> None:
    """Before it is understood."""
    answer = browser.post("/consent/decision", data=decision("refuse", x="y" * 20_000), headers=OWN)
    assert answer.status_code == 413


def test_T20_another_sites_post_is_refused(site: Server, browser: httpx.Client) -> None:
    """And leaves no record."""
    before = records(site)
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert browser.post("/consent/decision", data=decision("accept"), headers=headers).status_code == 403
    assert browser.get("/consent/decision", params=decision("accept")).status_code == 405
    assert records(site) == before


def test_assets_are_served_and_revalidated(browser: httpx.Client) -> None:
    """As the page names them."""
    page = browser.get("/").text
    address = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    answer = browser.get(address)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert browser.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    "line",
    [
        b"Cookie: \xff\xfe=\x80; __Host-consent=\xa0",
        b"Cookie: consent=" + b"A" * 6000,
        b"Referer: http://\xe9/\\",
        b"Accept-Language: \xff;q=x",
        b"Sec-GPC: \xb9",
        b"Host: a/b\\c",
    ],
)
def test_raw_bytes_never_fail_a_page(site: Server, line: bytes) -> None:
    """A server may refuse them itself; if it does not, neither do we."""
    host = b"" if line.startswith(b"Host") else b"Host: x.example\r\n"
    with socket.create_connection(("127.0.0.1", site.port), 10) as connection:
        connection.sendall(b"GET /allowed HTTP/1.1\r\n" + host + line + b"\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer[9:12] in (b"200", b"400")
    if answer[9:12] == b"200":
        assert b"False" in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("site", ["gunicorn"], indirect=True)
@pytest.mark.parametrize("path", ["/file", "/written"])
def test_T2_files_and_written_pages_arrive_whole(browser: httpx.Client, path: str) -> None:
    """A file as it is, a page that was written with the banner in it: WSGI's own ways to answer."""
    answer = browser.get(path)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (answer.content == PAGE) == (path == "/file")


def test_the_state_names_the_ledgers_policy(browser: httpx.Client) -> None:
    """What the page's script reads."""
    state = json.loads(browser.get("/consent/state").content)
    assert state["policy"]["digest"] == Site().history.current.digest
    assert state["region"] == "FR"


def test_nothing_went_wrong_on_the_way(site: Server) -> None:
    """No traceback in what the server printed."""
    assert "Traceback" not in site.output


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_is_stopped_leaves_one_whole_file(server: str, serve: Any, tmp_path: Path) -> None:
    """Nothing that it recorded is left beside the database, which can be copied as it is."""
    write_keys(tmp_path / "keys", "example.com/log")
    app, options = SERVERS[server]
    env = {"CONSENTKIT_SITE": str(tmp_path)}
    running: Server = serve(f"tests.adapters.served:{app}", server=server, options=options, env=env)
    with httpx.Client(base_url=running.url, headers={"X-Region": "FR", **OWN}, timeout=20) as browser:
        assert browser.post("/consent/decision", data=decision("accept")).status_code == 303
    assert (tmp_path / "consent.db-wal").stat().st_size
    running.stop()
    assert not (tmp_path / "consent.db-wal").exists()
    assert "Traceback" not in running.output
