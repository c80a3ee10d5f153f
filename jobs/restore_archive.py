"""The main job: manifest -> restored archive.

python -m jobs.restore_archive --manifest URI --output URI
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from jobs.console import announce, foretell
from jobs.run import ALL_WELL, OTHER, Run, stop_signals
from jobs.run_spec import read_order
from jobs.settings import RestoreSettings
from restore.cli import leave, parse
from restore.errors import ItemError, SystemicError
from restore.run.lease import take


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> settings -> flow -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return restore(parse(RestoreSettings, "python -m jobs.restore_archive", "Restore an archive.", argv))
    except SystemicError as error:
        print(f"silverprint: {error}", file=sys.stderr)
        return error.exit_code
    except ItemError as error:  # of no photo, so of the output store: it has stayed away
        print(f"silverprint: {error.message}; what is committed stays", file=sys.stderr)
        return OTHER


def restore(settings: RestoreSettings) -> int:
    """Plan what is to be done, then do it under the store's lease. Returns the exit code."""
    order = read_order(settings)
    if settings.dry_run:
        planned = order.plan()
        announce(planned, order, order.events(None))
        foretell(planned, order)
        return ALL_WELL
    order.store.check()
    with stop_signals() as stop, take(order.store) as lease:
        return int(Run(order, lease, stop).execute()["exit_code"])


if __name__ == "__main__":
    leave(main())
