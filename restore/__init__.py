"""The restoration of one photo, and of many. The packages and modules, each above those that it imports:

pipeline/   many photos on Ray: the Ray Data pipeline, prefetch and the crash tracker
single      one picture in this process, for scripts and notebooks
photo/      one photo without Ray: prepare, paint, finish
engines/    the `Engine` protocol, the classical engine, and the diffusion engines in `diffusion/`
report/     HTML reports of a run and of the archive
run/        what a run's driver writes: lease, rows, error budget, events, progress, metrics
weights/    a model's name -> a verified local directory
repair/     a mask -> windows to paint -> pixels of the photo, in pure numpy
imaging/    bytes <-> pixels, colour, metadata and thumbnails
storage/    bytes in and out of any store
identity    hashes and work keys
outcome     one photo's result: the columns of a metadata row
cli         settings from a command line
recipe      the settings of a restoration
item        one row of a run's plan
methods     one row for each restoration method
errors      the exceptions and the error codes
row_schema  an Arrow schema from a dataclass

`restore_image` of `single` is a name of this package too, imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restore.single import RestoredImage as RestoredImage
    from restore.single import restore_image as restore_image

__all__ = ["RestoredImage", "restore_image"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from restore import single

    return getattr(single, name)
