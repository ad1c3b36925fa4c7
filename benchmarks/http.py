"""Durable decisions over HTTP: real uvicorn, 64 connections, each post a new visitor's; beside it a post of nothing."""

import functools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from benchmarks.core import Outcome, Sample, benchmark, seconds
from benchmarks.site import CATEGORIES, POLICY, folder
from consentkit.banner import notice_for
from consentkit.policy import Model

CONNECTIONS, SECONDS, ROUNDS = 64, 3.0, 3
FORM = urlencode(
    {
        "control": "accept",
        "notice": notice_for(POLICY, "en", Model.OPT_IN).digest,
        "policy": POLICY.digest,
        "asked": " ".join(CATEGORIES),
    }
)


@contextmanager
def server(workers: int) -> Iterator[int]:
    """Run the site in so many processes; gives its port."""
    with folder() as path, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        listener.close()
        command = [sys.executable, "-m", "uvicorn", "benchmarks.http_site:app", "--port", str(port)]
        command += ["--workers", str(workers), "--log-level", "warning", "--lifespan", "off"]
        process = subprocess.Popen(command, env=os.environ | {"CONSENTKIT_SITE": str(path)})
        try:
            _wait(process, f"http://127.0.0.1:{port}/consent/state")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the server does not answer")


def _post(port: int, path: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.http_client", str(port), path, FORM]
    before = _spent(port)
    ran = subprocess.run(
        [*command, str(CONNECTIONS), str(SECONDS)], capture_output=True, check=True, text=True
    )
    told: dict[str, float] = json.loads(ran.stdout)
    return told | {"server": (_spent(port) - before) / told["count"]}


def _spent(port: int) -> float:
    """Ask the server, where there is one process of it, how much processor time it has spent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/spent", timeout=30) as answer:
        return float(answer.read())


@functools.cache
def measured(workers: int) -> tuple[tuple[dict[str, float], ...], tuple[dict[str, float], ...]]:
    """Post decisions and nothing, in turns; what the client said of each."""
    with server(workers) as port:
        paths = ("/consent/decision", "/noop")
        pairs = [tuple(_post(port, path) for path in paths) for _ in range(ROUNDS)]
    ours, bare = zip(*pairs, strict=True)
    return ours, bare


def _rate(told: tuple[dict[str, float], ...]) -> Sample:
    return Sample(tuple(1 / one["rate"] for one in told))


def _tail(told: tuple[dict[str, float], ...]) -> Sample:
    return Sample(tuple(one["p99"] for one in told))


@benchmark(
    "HTTP, 64 clients, one worker", budget=">= 30 % of the reference's rate", reference="a post of nothing"
)
def rate() -> Outcome:
    """Decisions a second, each durable before it is answered."""
    ours, bare = measured(1)
    best, noop = (max(told, key=lambda one: one["rate"]) for told in (ours, bare))
    spent = [seconds(one[side]) for one in (best, noop) for side in ("server", "client")]
    note = (
        f"{best['rate']:,.0f} decisions/s beside {noop['rate']:,.0f} posts of nothing; processor time for one: server "
        f"{spent[0]} and client {spent[1]}, and for nothing {spent[2]} and {spent[3]}"
    )
    return Outcome(_rate(ours), _rate(bare), limit=_rate(bare).best / 0.3, note=note)


@benchmark("HTTP, 64 clients, one worker, p99", budget="<= 60 ms", reference="a post of nothing")
def tail() -> Outcome:
    """How long the slowest one in a hundred takes."""
    ours, bare = measured(1)
    return Outcome(_tail(ours), _tail(bare), limit=0.060, judge_median=True)


@benchmark("HTTP, 64 clients, four workers, p99", budget="<= one worker's", reference="one worker")
def tail_of_four() -> Outcome:
    """Four processes on one ledger have no worse a tail."""
    four, one = measured(4)[0], measured(1)[0]
    rate_of = max(each["rate"] for each in four)
    return Outcome(
        _tail(four),
        _tail(one),
        limit=_tail(one).median,
        judge_median=True,
        note=f"{rate_of:,.0f} decisions/s",
    )
