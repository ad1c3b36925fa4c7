"""``consentkit policy schema``"""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of policies, for editors and other programs.

    Keep it beside the policy, and name it there: "$schema": "policy.schema.json". An editor then completes names and
    marks mistakes as you type. `consentkit policy check` finds more than a schema can.
    """
    from consentkit._data import schema_text

    click.echo(schema_text("policy"), nl=False)
