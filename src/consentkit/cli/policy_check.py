"""``consentkit policy check FILE``"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from consentkit.cli.output import INPUT_FILE, printable
from consentkit.errors import PolicyError, Problem

if TYPE_CHECKING:
    from consentkit.policy import Policy

__all__ = ["command", "load_policy", "show_problems"]


@click.command("check")
@click.argument("file", metavar="FILE", type=INPUT_FILE)
@click.pass_context
def command(ctx: click.Context, file: Path) -> None:
    """Say everything that is wrong with a policy.

    Checks its form, its references, and what else keeps a site from serving it: a language that the banner does not
    have, a fallback weaker than opt-in by oversight. Exit code 0: valid; 1: not valid.
    """
    from consentkit.banner import check

    policy = load_policy(ctx, file)
    if problems := check(policy):
        show_problems(file, problems)
        ctx.exit(1)
    click.echo(f"{file}: valid")
    click.echo(f"  version     {printable(policy.version)}")
    click.echo(f"  digest      {policy.digest}")
    click.echo(f"  categories  {', '.join(category.id for category in policy.categories)}")
    click.echo(f"  services    {', '.join(service.id for service in policy.services) or 'none'}")
    click.echo(f"  regimes     {', '.join(f'{regime.id} ({regime.model})' for regime in policy.regimes)}")
    click.echo(f"  languages   {', '.join(policy.languages)}")


def load_policy(ctx: click.Context, file: Path) -> Policy:
    """Load a policy, or print what is wrong with it and end with exit code 1."""
    from consentkit.policy import Policy

    try:
        return Policy.load(file)
    except PolicyError as error:
        show_problems(file, error.problems)
        ctx.exit(1)


def show_problems(file: Path, problems: Iterable[Problem]) -> None:
    """Print problems, grouped by the section of the policy that they are in."""
    found = sorted(problems, key=lambda problem: (_section(problem), problem.pointer))
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    click.echo(f"{file}: {click.style(count, fg='red', bold=True)}")
    for section, group in groupby(found, key=_section):
        click.echo(f"\n{click.style(printable(section) or 'the document', bold=True)}")
        for problem in group:
            _show(problem)


def _section(problem: Problem) -> str:
    """Return the first step of the problem's JSON pointer: `services` of `/services/matomo/cookies/0/name`."""
    return problem.pointer.removeprefix("/").partition("/")[0]


def _show(problem: Problem) -> None:
    click.echo(f"  {printable(problem.pointer)}  {printable(problem.message)}")
    for name, text in (("value", _short(problem.value)), ("right", problem.expected)):
        if text:
            click.echo(f"    {name}  {printable(text)}")


def _short(value: object, limit: int = 200) -> str:
    """Return `value` as JSON, cut to a length that a line can bear; nothing for an absent value."""
    if value is None:
        return ""
    text = dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else f"{text[:limit]}..."
