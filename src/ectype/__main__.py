"""`python -m ectype` is the command `ectype`."""

from __future__ import annotations

import sys

from ectype.surfaces.cli import main

if __name__ == "__main__":
    sys.exit(main())
