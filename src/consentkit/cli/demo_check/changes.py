"""A server that dies, a policy that widens, a ledger that is lost: what happens to visitors who come back."""

from __future__ import annotations

import json
import shutil
from typing import Any

from consentkit.cli.demo_check.expect import expect
from consentkit.cli.demo_check.processes import Server
from consentkit.cli.demo_check.visitor import ALL, Visitor
from consentkit.cli.demo_check.world import Check, World

__all__ = ["AFTERWARDS", "CHANGES"]

NOTHING: frozenset[str] = frozenset()
CATEGORIES = ("analytics", "marketing", "preferences")


def survives_kill(world: World) -> None:
    """A killed server has lost no decision that it answered"""
    visitor = world.visitor("FR")
    visitor.decide(visitor.see().banner("accept"), "accept", "given", granted=CATEGORIES)
    world.server.kill()
    world.server.start()
    expect("what the page has for who accepted before", visitor.see().got, ALL)
    refused = world.again("refused")
    expect("what the page has for who refused before", refused.see().got, NOTHING)
    world.kept["accepted"] = visitor


def widened_policy(world: World) -> None:
    """Pages that were opened under one policy are answered under the next, which is wider"""
    for name, control in (("old-yes", "accept"), ("old-no", "refuse")):
        visitor = world.visitor("FR")
        world.forms[name] = visitor.see().banner(control)
        world.kept[name] = visitor
    _widen(world)
    expect("the server ends in order", world.server.stop(), 0)
    world.server.start()
    shown = world.visitor("FR").see().banner("accept").fields
    expect("the new policy is another one", shown["policy"] != world.forms["old-yes"].fields["policy"], True)


def _widen(world: World) -> None:
    """Add a recipient to the advertising network: that is a wider purpose for `marketing` and for it alone."""
    policy: dict[str, Any] = json.loads(world.folder.policy.read_bytes())
    policy["version"] = f"{policy['version']}-wider"
    added = {"rafter": {"name": "Rafter Data Ltd", "country": "GB"}}
    policy["services"]["adnet"]["recipients"] = policy["services"]["adnet"].get("recipients", {}) | added
    world.folder.policy.write_text(json.dumps(policy, ensure_ascii=False, indent=2), "utf-8")


def old_page_yes(world: World) -> None:
    """A yes on an old page counts for what it was told, and only the widened category is asked again"""
    visitor = world.again("old-yes")
    visitor.decide(world.forms["old-yes"], "accept", "given", granted=CATEGORIES)
    _expect_only_marketing_asked(visitor)


def _expect_only_marketing_asked(visitor: Visitor) -> None:
    seen = visitor.see()
    expect("what the page has", seen.got, {"_pc_id"})
    expect("what is asked again", seen.banner("accept").fields["asked"], "marketing")
    state = visitor.state()["categories"]
    allowed = {name for name, one in state.items() if one["allowed"]}
    expect("what is allowed", allowed, {"necessary", "preferences", "analytics"})


def old_page_no(world: World) -> None:
    """A no on an old page counts for everything"""
    visitor = world.again("old-no")
    visitor.decide(world.forms["old-no"], "refuse", "refused", refused=CATEGORIES)
    seen = visitor.see()
    expect("what the page has", (seen.got, seen.has_banner), (NOTHING, False))


def earlier_yes(world: World) -> None:
    """An earlier yes is asked again where the policy has widened, and a new yes counts"""
    visitor = world.again("accepted")
    _expect_only_marketing_asked(visitor)
    visitor.decide(visitor.see().banner("accept"), "accept", "changed", granted={"marketing"})
    seen = visitor.see()
    expect("what the page has after the new yes", (seen.got, seen.has_banner), (ALL, False))


def earlier_no(world: World) -> None:
    """An earlier no stays a no under the new policy, and is not asked again"""
    for name in ("refused", "opt-out"):
        seen = world.again(name).see()
        expect("what the page has", (seen.got, seen.has_banner), (NOTHING, False))
    expect("what the page has for who ticked analytics alone", world.again("partly").see().got, {"_pc_id"})


def lost_ledger(world: World) -> None:
    """What a ledger does not bear out is not granted: the same keys over an empty ledger deny every yes"""
    visitor = world.visitor("FR")
    visitor.decide(visitor.see().banner("accept"), "accept", "given", granted=CATEGORIES)
    expect("what the page has over the true ledger", visitor.see().got, ALL)
    world.server.stop()
    lost = Server(world.work / "lost", world.server.port, world.server.output)
    lost.folder.mkdir()
    shutil.copytree(world.folder.keys, lost.folder / "keys")
    shutil.copy(world.folder.policy, lost.folder)
    lost.start()
    try:
        seen = visitor.see()
        expect("what the page has over an empty ledger", (seen.got, seen.has_banner), (NOTHING, True))
        expect("why marketing is denied", visitor.reason("marketing"), "unreadable")
        expect("what the page has for who refused", world.again("refused").see().got, NOTHING)
    finally:
        lost.stop()


CHANGES: tuple[Check, ...] = (
    survives_kill,
    widened_policy,
    old_page_yes,
    old_page_no,
    earlier_yes,
    earlier_no,
)
AFTERWARDS: tuple[Check, ...] = (lost_ledger,)
