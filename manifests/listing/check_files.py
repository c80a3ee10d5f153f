"""Whether a manifest's files can be read, and whether each mask has its photo's size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from manifests.listing.probe import probe_headers
from manifests.query import sql
from manifests.query.spool import SpooledTable, register
from manifests.reading.invalid import BATCH_ROWS, InvalidRow
from restore.errors import ErrorCode
from restore.imaging.scaled_copy import same_shape

# The sizes of files are not known here, so each is read whole.
_FILES = """
    SELECT image, any_value(image_version) AS image_version, 0 AS image_bytes FROM (
        SELECT image, image_version FROM manifest WHERE image_version IS NOT NULL
        UNION ALL SELECT mask, mask_version FROM manifest WHERE mask_version IS NOT NULL
    ) GROUP BY image
"""

_FAULTS = f"""
    SELECT row, item_id, CASE
            WHEN of_image.fault IS NOT NULL THEN '{ErrorCode.IMAGE_UNREADABLE}'
            WHEN of_mask.fault IS NOT NULL THEN '{ErrorCode.MASK_UNREADABLE}'
            ELSE '{ErrorCode.MASK_SIZE_MISMATCH}'
        END AS code, coalesce(of_image.fault, of_mask.fault, format(
            'the mask is {{}}x{{}} and the photo {{}}x{{}}; make it of the same size',
            of_mask.width, of_mask.height, of_image.width, of_image.height)) AS message,
        of_mask.width AS mask_width, of_mask.height AS mask_height, of_image.width, of_image.height
    FROM manifest JOIN probed AS of_image USING (image)
        LEFT JOIN probed AS of_mask ON of_mask.image = mask
    WHERE of_image.fault IS NOT NULL OR of_mask.fault IS NOT NULL
        OR of_mask.width <> of_image.width OR of_mask.height <> of_image.height
    ORDER BY row
"""


def unreadable_files(wanted: SpooledTable, fit_masks: bool = False) -> Iterator[InvalidRow]:
    """Rows whose image or mask cannot be read, or whose mask is of another size.

    Args:
        wanted: the manifest with its versions. Files that a listing did not find are passed over.
        fit_masks: whether a mask may be a scaled copy's.
    """
    with tempfile.TemporaryDirectory(prefix="silverprint-probe-") as folder, sql.connection() as con:
        register(con, "manifest", wanted)
        headers = Path(folder, "headers.parquet")
        probe_headers(con, _FILES, headers)
        con.execute(f"CREATE VIEW probed AS FROM read_parquet({sql.text(str(headers))})")
        for batch in con.sql(_FAULTS).to_arrow_reader(BATCH_ROWS):
            for found in batch.to_pylist():
                if not (fit_masks and _fits(found)):
                    yield InvalidRow(found["row"], found["item_id"], found["code"], found["message"])


def _fits(found: Mapping[str, Any]) -> bool:
    """Whether the row's only fault is a mask that is a scaled copy's."""
    return found["code"] == ErrorCode.MASK_SIZE_MISMATCH and same_shape(
        (found["mask_width"], found["mask_height"]), (found["width"], found["height"])
    )
