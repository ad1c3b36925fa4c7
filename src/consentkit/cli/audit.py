"""``consentkit audit DIR --trust FILE``"""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from consentkit.cli.output import INPUT_FILE, caller_input, printable, progress_bar, read_trust

if TYPE_CHECKING:
    from consentkit.audit import AuditReport, Finding

__all__ = ["command"]

_SIGNS = {
    "passed": ("ok", "green"),
    "failed": ("FAILED", "red"),
    "incomplete": ("open", "yellow"),
    "skipped": ("-", None),
}
_COLOURS = {"error": "red", "unchecked": "yellow", "note": "cyan"}


@click.command("audit")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--trust",
    "trust_file",
    metavar="FILE",
    type=INPUT_FILE,
    required=True,
    help="Whom to believe: log and witnesses (C2SP tlog-policy). Never from the pack itself.",
)
@click.option(
    "--previous",
    metavar="CHECKPOINT",
    type=INPUT_FILE,
    help="A checkpoint kept earlier, which the log must extend.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (schema: audit-report).")
@click.pass_context
def command(ctx: click.Context, folder: Path, trust_file: Path, previous: Path | None, as_json: bool) -> None:
    """Check a ledger's pack against a trust file, and give a verdict.

    DIR is what `consentkit ledger export` wrote. Exit code 0: all that the trust file demands holds; 1: something
    is wrong, and the verdict names the first bad file and index; 3: nothing is wrong, but something that was
    demanded could not be checked.
    """
    from consentkit.audit import audit

    for brought in filter(None, (trust_file, previous)):
        _refuse_inside(folder, brought)
    trust = read_trust(trust_file)
    kept = None if previous is None else previous.read_bytes()
    with caller_input(f"--previous {previous}"), progress_bar() as progress:
        report = audit(folder, trust, previous=kept, progress=progress)
    if as_json:
        click.echo(dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        _show(report)
    ctx.exit(report.exit_code)


def _refuse_inside(folder: Path, brought: Path) -> None:
    if brought.resolve().is_relative_to(folder.resolve()):
        raise click.UsageError(f"{brought} lies in the pack that it is to judge. Get it by another way.")


def _show(report: AuditReport) -> None:
    for check in report.checks:
        sign, colour = _SIGNS[check.outcome]
        click.echo(f"{click.style(f'{sign:6}', fg=colour)}  {check.title:24} {printable(check.detail)}")
    if report.findings:
        click.echo("\nFound:")
    for finding in report.findings:
        _show_finding(finding)
    for name, count in report.more.items():
        click.echo(f"  ... and {count} more of {name}")
    click.echo("\nNot checked, and not checkable with this pack:")
    for remark in report.not_checked:
        click.echo(f"  - {printable(remark)}")
    colour = {0: "green", 1: "red"}.get(report.exit_code, "yellow")
    click.echo(f"\n{click.style(printable(report.verdict), fg=colour, bold=True)}")


def _show_finding(finding: Finding) -> None:
    severity = click.style(f"{finding.severity:9}", fg=_COLOURS[finding.severity])
    click.echo(f"  {severity}  {finding.id}  {printable(finding.place)}")
    click.echo(f"             {printable(finding.message)}")
