"""``python -m consentkit`` is the ``consentkit`` command of the interpreter that runs it."""

import sys

from consentkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
