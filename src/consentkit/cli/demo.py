"""``consentkit demo [--port N] [--data DIR] [--check] [--seed N]``"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from consentkit.cli.output import Failure, own_command

if TYPE_CHECKING:
    import socket

__all__ = ["command"]

_PORT = 8000
_PORT_WORDS = "CONSENTKIT_DEMO_PORT_WORDS"
_NEEDED = ("uvicorn", "httpx")


@click.command("demo")
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Port on 127.0.0.1.  [default: {_PORT}, or a free one]"
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep policy, keys and ledger here.  [default: a temporary folder, removed at the end]",
)
@click.option(
    "--check", is_flag=True, help="Visit and audit the demo as a program; exit code 0 when all holds."
)
@click.option("--seed", type=int, help="With --check: repeat the tampering that an earlier run did.")
@click.pass_context
def command(ctx: click.Context, port: int | None, data: Path | None, check: bool, seed: int | None) -> None:
    """Serve a small newspaper with the banner, and a panel that shows what happens behind it.

    The newspaper sets its cookies carelessly, and consentkit around it keeps back what a visitor does not allow.
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise Failure(
                f"the demo needs the package {package!r}, which is not installed",
                'install it with: pip install "consentkit[demo]"',
                2,
            )
    if seed is not None and not check:
        raise click.UsageError("--seed goes with --check.")
    if check:
        from consentkit.cli.demo_check import run

        ctx.exit(run(data, port, seed))
    with _listener(port) as listener:
        _serve(data, listener)


def _listener(port: int | None) -> socket.socket:
    """Listen on the port that was asked for, or on the usual one, or else on any that is free."""
    from consentkit.cli.demo_site.serving import listen

    try:
        return listen(_PORT if port is None else port)
    except OSError as error:
        if port is not None:
            # `make demo` says how a port is named to it
            again = os.environ.get(_PORT_WORDS, f"{own_command()} demo --port ")
            raise Failure(
                f"port {port} cannot be listened on: {error.strerror}",
                f"name another one: {again}{_next(port)}",
                2,
            ) from error
    listener = listen(0)
    click.echo(f"Port {_PORT} is taken, so this is another one.")
    return listener


def _next(port: int) -> int:
    return port + 1 if port < 65535 else _PORT


def _serve(data: Path | None, listener: socket.socket) -> None:
    from consentkit.cli.demo_site.bench import open_demo
    from consentkit.cli.demo_site.folder import demo_folder
    from consentkit.cli.demo_site.serving import Stopped, serve, stop_by_signal

    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    kept = "stays there" if data else "is removed when the demo ends"
    try:
        with stop_by_signal(), demo_folder(data) as folder, open_demo(folder) as app:
            shown = click.style(url, bold=True)
            click.echo(
                _WELCOME.format(
                    url=shown,
                    root=folder.root,
                    kept=kept,
                    program=own_command(),
                    ledger=quote(folder.ledger),
                    trust=quote(str(folder.trust)),
                )
            )
            serve(app, listener)
    except Stopped:
        click.echo("Stopped.")


_WELCOME = """The Quayside Courier is at {url}

Try: accept or opt out in the banner, and look at what the panel on the right says.
     Switch the panel to France, to California, and Global Privacy Control on.
     Reopen your choices with the tab "Privacy & cookies", then press "Audit now".

Policy, keys and ledger are in {root}, which {kept}.
An auditor's way:
     {program} ledger export {ledger} pack
     {program} audit pack --trust {trust}

Ctrl-C ends it."""
