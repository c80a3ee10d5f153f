"""The main job: manifest -> restored archive.

python -m jobs.restore_archive --manifest URI --output URI
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobs.console import print_estimate, print_failures, print_plan
from jobs.exit_codes import ALL_WELL
from jobs.ray_address import require_ray
from jobs.run import Run, stop_signals
from jobs.run_spec import load_run_spec
from jobs.settings import RECIPE_HELP, RestoreSettings
from restore.cli import exit_code, leave, parse
from restore.run.lease import acquire


def main(argv: Sequence[str] | None = None) -> int:
    """argv -> settings -> flow -> exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    name, text = "python -m jobs.restore_archive", "Restore the photos of a manifest."
    return exit_code(lambda: restore(parse(RestoreSettings, name, text, argv, help_epilogue=RECIPE_HELP)))


def restore(settings: RestoreSettings) -> int:
    """Plan what is to be done, then do it under the store's lease. Returns the exit code."""
    spec = load_run_spec(settings)
    if settings.dry_run:
        planned = spec.plan()
        print_plan(planned, spec, spec.events(None))
        print_failures(planned, spec)
        print_estimate(planned, spec)
        return ALL_WELL
    require_ray()
    spec.store.check()
    with stop_signals() as stop, acquire(spec.store) as lease:
        return int(Run(spec, lease, stop).execute()["exit_code"])


if __name__ == "__main__":
    leave(main())
