"""``consentkit policy diff OLD NEW``"""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consentkit.cli.output import INPUT_FILE, printable
from consentkit.cli.policy_check import load_policy

if TYPE_CHECKING:
    from consentkit.policy import Policy
    from consentkit.policy.diff import PolicyDiff
    from consentkit.policy.rules import RuleChange

__all__ = ["command"]


@click.command("diff")
@click.argument("old", metavar="OLD", type=INPUT_FILE)
@click.argument("new", metavar="NEW", type=INPUT_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema: policy-diff).")
@click.pass_context
def command(ctx: click.Context, old: Path, new: Path, as_json: bool) -> None:
    """Tell which visitors a new policy asks again, and why.

    Tells what changes about the rules as well: the regimes of regions, the fallback, the controller, the languages.
    A wider category (a new service, purpose or recipient, a longer lifetime) is asked again; what was granted
    under OLD still counts for the others.
    """
    from consentkit.policy.diff import diff
    from consentkit.policy.rules import rule_changes

    before, after = load_policy(ctx, old), load_policy(ctx, new)
    changes, rules = diff(before, after), rule_changes(before, after)
    if as_json:
        click.echo(dumps(_as_json(before, after, changes, rules), ensure_ascii=False, indent=2))
        return
    asked = _asked_again(after, changes)
    click.echo(f"{printable(before.version)} -> {printable(after.version)}")
    if before.version == after.version and before.digest != after.digest:
        click.secho(
            "the same version names two different policies: give the new one a version of its own",
            fg="yellow",
        )
    click.echo(f"asked again: {', '.join(asked) or 'nobody'}")
    others = {change.category for change in changes.changes}.difference(after.category_ids)
    for category in (*after.category_ids, *sorted(others)):
        click.echo(f"\n{click.style(category, bold=True)}: {_state(category, after, asked)}")
        for change in changes.changes:
            if change.category == category:
                where = f"{change.service}: " if change.service else ""
                click.echo(printable(f"  {'+' if change.widening else ' '} {where}{change.detail}"))

    if rules:
        click.secho("\nthe rules", bold=True)
        for rule in rules:
            click.echo(f"    {printable(str(rule))}")


def _state(category: str, after: Policy, asked: tuple[str, ...]) -> str:
    """Say what becomes of earlier answers for a category."""
    if category in asked:
        return click.style("asked again", fg="yellow", bold=True)
    if category in after.category_ids:
        return "earlier answers count"
    return "gone" if all(one.id != category for one in after.categories) else "never asked"


def _asked_again(after: Policy, changes: PolicyDiff) -> tuple[str, ...]:
    return tuple(name for name in after.category_ids if not changes.covers(name))


def _as_json(
    before: Policy, after: Policy, changes: PolicyDiff, rules: tuple[RuleChange, ...]
) -> dict[str, Any]:
    return {
        "schema": "consentkit-policy-diff/1",
        "old": {"version": before.version, "digest": before.digest},
        "new": {"version": after.version, "digest": after.digest},
        "asked_again": list(_asked_again(after, changes)),
        "changes": [
            {
                "category": change.category,
                "service": change.service,
                "kind": str(change.kind),
                "widening": change.widening,
                "detail": str(change.detail),
            }
            for change in changes.changes
        ],
        "rules": [{"about": rule.about, "detail": rule.detail} for rule in rules],
    }
