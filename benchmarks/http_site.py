"""A site for a server to run: decisions are recorded by consentkit, and `/noop` takes a post and does nothing."""

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.site import POLICY
from consentkit import ConsentManager
from consentkit.adapters.asgi import ConsentMiddleware


async def noop(scope: Any, receive: Any, send: Any) -> None:
    """Read a post to its end, and redirect; say at `/spent` what processor time this process has spent."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    body = str(time.process_time()).encode() if scope["path"] == "/spent" else b""
    headers = [(b"location", b"/"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if body else 303, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def __getattr__(name: str) -> Any:
    """Open the manager when a server asks for its application, and not before."""
    if name != "app":
        raise AttributeError(name)
    folder = Path(os.environ["CONSENTKIT_SITE"])
    manager = ConsentManager.open(
        POLICY, ledger=f"sqlite:///{folder}/consent.db", keys=folder / "keys", region=lambda _: "FR"
    )
    return ConsentMiddleware(noop, manager)
