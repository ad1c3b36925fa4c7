"""``consentkit policy diff OLD NEW``"""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consentkit.cli.output import INPUT_FILE, printable
from consentkit.cli.policy_check import load_policy

if TYPE_CHECKING:
    from consentkit.policy import Policy, PolicyDiff, RuleChange

__all__ = ["command"]


@click.command("diff")
@click.argument("old", metavar="OLD", type=INPUT_FILE)
@click.argument("new", metavar="NEW", type=INPUT_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema: policy-diff).")
@click.pass_context
def command(ctx: click.Context, old: Path, new: Path, as_json: bool) -> None:
    """Tell which visitors a new policy asks again, and why.

    A wider category (a new service, purpose or recipient, a longer lifetime) is asked again; what was granted
    under OLD still counts for the others. Where a rule becomes opt-in, whoever never agreed expressly is asked.
    """
    from consentkit.policy import diff, rule_changes

    before, after = load_policy(ctx, old), load_policy(ctx, new)
    changes, rules = diff(before, after), rule_changes(before, after)
    if as_json:
        click.echo(dumps(_as_json(before, after, changes, rules), ensure_ascii=False, indent=2))
        return
    click.echo(f"{printable(before.version)} -> {printable(after.version)}")
    if before == after:
        click.echo("the same policy, to the digest")
    elif before.version == after.version:
        click.secho(
            f"Both are called {printable(after.version)}, but they differ. Give NEW a version of its own: records name"
            " policies by it.",
            fg="yellow",
        )
    asked = _asked_again(after, changes)
    click.echo(f"asked again: {_summary(asked, rules)}")
    others = {change.category for change in changes.changes}.difference(after.category_ids)
    for category in (*after.category_ids, *sorted(others)):
        click.echo(f"\n{click.style(category, bold=True)}: {_state(category, after, asked)}")
        for change in changes.changes:
            if change.category == category:
                where = f"{change.service}: " if change.service else ""
                click.echo(printable(f"  {'+' if change.widening else ' '} {where}{change.detail}"))
    _show_rules(rules)


def _summary(asked: Sequence[str], rules: Sequence[RuleChange]) -> str:
    """Say in a line who is asked again: everybody about what widened, others where a rule became stricter."""
    stricter = [
        f"{', '.join(rule.asks)} in {', '.join(rule.regions) or 'other and unknown regions'},"
        " unless agreed to expressly"
        for rule in rules
        if rule.asks
    ]
    return "; ".join(filter(None, (", ".join(asked), *stricter))) or "nobody"


def _show_rules(rules: Sequence[RuleChange]) -> None:
    sections = dict.fromkeys(rule.section for rule in rules)
    for section in sections:
        click.echo(f"\n{click.style(section, bold=True)}:")
        for rule in rules:
            if rule.section == section:
                where = f"{rule.name}: " if rule.name else ""
                click.echo(printable(f"  {'+' if rule.asks else ' '} {where}{rule.detail}"))


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
    before: Policy, after: Policy, changes: PolicyDiff, rules: Sequence[RuleChange]
) -> dict[str, Any]:
    return {
        "schema": "consentkit-policy-diff/1",
        "old": {"version": before.version, "digest": before.digest},
        "new": {"version": after.version, "digest": after.digest},
        "version_reused": before.version == after.version and before != after,
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
        "rules": [
            {
                "section": rule.section,
                "name": rule.name,
                "kind": rule.kind,
                "detail": rule.detail,
                "regions": list(rule.regions),
                "asks": list(rule.asks),
            }
            for rule in rules
        ],
    }
