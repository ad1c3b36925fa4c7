"""Servers of several processes on one ledger: nothing is lost, there is one order, and no fork."""

import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from consentkit.audit import audit
from consentkit.consent.cookie import parse_id
from consentkit.evidence.export import export
from consentkit.keys import write_keys
from consentkit.tlog import TrustPolicy
from tests.adapters.test_servers import OWN, decision
from tests.support import Server, free_port

SERVERS = {
    "gunicorn": ("wsgi_app", "gunicorn", ("--workers", "4", "--worker-class", "gthread", "--threads", "4")),
    "gunicorn-preload": ("wsgi_app", "gunicorn", ("--workers", "4", "--threads", "4", "--preload")),
    "uvicorn": ("asgi_app", "uvicorn", ("--workers", "4", "--lifespan", "off")),
}
CLIENTS, EACH = 8, 12


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """The URL of the site's ledger."""
    return f"sqlite:///{tmp_path}/consent.db"


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest, serve: Any, ledger_url: str, tmp_path: Path) -> Server:
    """A running site of four processes."""
    write_keys(tmp_path / "keys", "example.com/log")
    app, server, options = SERVERS[request.param]
    env = {"CONSENTKIT_SITE": str(tmp_path), "CONSENTKIT_LEDGER": ledger_url}
    running: Server = serve(f"tests.adapters.served:{app}", server=server, options=options, env=env)
    with httpx.Client(timeout=60) as client:
        client.get(f"{running.url}/allowed").raise_for_status()
    return running


def visit(site: Server) -> list[int]:
    """Be so many visitors, one after another, each on a connection of their own; return their entries."""
    indexes = []
    for _ in range(EACH):
        with httpx.Client(base_url=site.url, headers={"X-Region": "FR"}, timeout=60) as browser:
            answer = browser.post("/consent/decision", data=decision("accept"), headers=OWN)
            assert answer.status_code == 303
            found = parse_id(browser.cookies["consent-id"])
            assert found is not None
            indexes.append(found.index)
            assert browser.get("/allowed").text == "True"
    return indexes


def test_every_acknowledged_decision_is_in_one_log(site: Server, ledger_url: str, tmp_path: Path) -> None:
    """Once, at the place that its visitor was told, in a pack that passes its audit."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        told = [index for indexes in pool.map(lambda _: visit(site), range(CLIENTS)) for index in indexes]
    assert len(set(told)) == CLIENTS * EACH
    export(ledger_url, tmp_path / "pack")
    report = audit(tmp_path / "pack", TrustPolicy.parse((tmp_path / "keys" / "trust.txt").read_text()))
    assert (report.exit_code, [str(finding) for finding in report.findings]) == (0, [])
    size = int((tmp_path / "pack/log/checkpoint").read_text().splitlines()[1])
    first = min(told)
    assert sorted(told) == list(range(first, first + CLIENTS * EACH))
    assert size == first + CLIENTS * EACH
    # Four of them, and none that failed at anything.
    assert (
        len(set(re.findall(r"(?:Booting worker with pid|Started server process).*?(\d+)", site.output))) == 4
    )
    assert "Traceback" not in site.output


@pytest.mark.parametrize("threads", [True, False])
def test_a_server_without_threads_is_named(threads: bool, tmp_path: Path) -> None:
    """uWSGI runs none unless told to: then a refusal waits in the spool, a grant is not given, and the log says why."""
    program = Path(sys.executable).with_name("pyuwsgi")
    write_keys(tmp_path / "keys", "example.com/log")
    (tmp_path / "app.py").write_text("from tests.adapters import served\napplication = served.wsgi_app\n")
    port, log = free_port(), tmp_path / "uwsgi.log"
    command = [
        str(program),
        "--http-socket",
        f"127.0.0.1:{port}",
        "--wsgi-file",
        str(tmp_path / "app.py"),
        "--master",
    ]
    command += ["--enable-threads"] if threads else []
    paths = os.pathsep.join(path for path in sys.path if path)
    env = {"CONSENTKIT_SITE": str(tmp_path), "PYTHONPATH": paths, "UWSGI_VIRTUALENV": sys.prefix}
    server = Server(command, port, log, env).wait_ready()
    try:
        with httpx.Client(
            base_url=server.url, headers={"X-Region": "FR", "Connection": "close"}, timeout=60
        ) as browser:
            answer = browser.post(
                "/consent/decision", data=decision("accept"), headers=OWN | {"Accept": "application/json"}
            )
            assert answer.json()["recorded"] is threads
            refused = browser.post(
                "/consent/decision", data=decision("refuse"), headers=OWN | {"Accept": "application/json"}
            )
            assert (refused.json()["recorded"], refused.json()["spooled"]) == (
                (True, False) if threads else (False, True)
            )
    finally:
        server.process.send_signal(signal.SIGINT)  # which is how it stops; SIGTERM reloads it
        server.process.wait(30)
    assert ("--enable-threads" in server.output) is not threads
