"""What all checks share: the server, its visitors, and what they have decided so far."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import httpx
from attrs import define, field

from consentkit.cli.demo_check.expect import Wrong
from consentkit.cli.demo_check.page import Form
from consentkit.cli.demo_check.processes import Server
from consentkit.cli.demo_check.visitor import Decision, Visitor
from consentkit.cli.demo_site.folder import DemoFolder

__all__ = ["Check", "World"]

Check = Callable[["World"], None]
"""A check; the first line of its docstring says what it shows. Raises Wrong when it does not hold."""


@define
class World:
    """The demo under check.

    `kept` are visitors who come back in a later check, with the `forms` of pages that they had open; `work` is a
    folder for packs.
    """

    folder: DemoFolder
    server: Server
    work: Path
    random: random.Random
    client: httpx.Client
    decisions: list[Decision] = field(factory=list)
    kept: dict[str, Visitor] = field(factory=dict)
    forms: dict[str, Form] = field(factory=dict)

    def visitor(self, region: str, *, gpc: bool = False, language: str = "") -> Visitor:
        """Let a new visitor come, through the switches of the panel."""
        visitor = Visitor(self.client, self.decisions, region)
        visitor.headers["Accept-Language"] = "en"
        switches = (
            {"region": region} | ({"gpc": "on"} if gpc else {}) | ({"language": language} if language else {})
        )
        visitor.switch(**switches)
        return visitor

    def again(self, name: str) -> Visitor:
        """Let a visitor of an earlier check come back."""
        if name not in self.kept:
            raise Wrong("a visitor of an earlier check comes back", name, "that check did not get this far")
        return self.kept[name]
