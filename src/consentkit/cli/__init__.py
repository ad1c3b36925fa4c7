"""The ``consentkit`` command. Each command is a module of its own, imported only when it runs.

A command that `consentkit.cli.root` lists as ``policy check`` lives in ``consentkit.cli.policy_check`` and is
called ``command`` there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"click", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` unless `arguments` are given) and return its exit code.

    0 is success, 1 a negative answer or a failure, 2 wrong usage; `audit` adds 3. Without the packages of the
    extra ``cli`` a sentence says how to get them, and the code is 2.
    """
    try:
        from consentkit.cli.root import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(
            f'The command line needs the package "{error.name}", which is not installed. '
            'Install it with:\n\n    pip install "consentkit[cli]"\n'
        )
        return 2
    return run(arguments)
