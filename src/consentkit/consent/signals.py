"""What the browser says by itself: Global Privacy Control (W3C GPC, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

__all__ = ["NO_SIGNALS", "Signals", "parse_gpc"]


@frozen
class Signals:
    """The signals of one request; `gpc` is true when the browser sent `Sec-GPC: 1`."""

    gpc: bool = False


NO_SIGNALS = Signals()


def parse_gpc(values: Sequence[bytes]) -> bool:
    """Tell whether `Sec-GPC` is set, given every value of that header, raw.

    Only the single byte `1` counts, and several headers count as one if any of them is exactly that
    (W3C GPC, section 3.1: any other value is ignored).
    """
    return any(value.strip(b" \t") == b"1" for value in values)
