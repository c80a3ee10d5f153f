"""A store's listing as a manifest: photos paired with masks by name, joined with what a person says of them.

Nothing is read of the photos unless they are to be probed. Listings go to temporary files and DuckDB
pairs and sorts them, spilling to disk, so that memory does not grow with the archive.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.listing import names
from manifests.listing.found import FIRST, Found, Listed
from manifests.listing.litter import is_litter
from manifests.listing.patterns import Pattern, parse_patterns
from manifests.listing.sidecar import load_sidecar
from manifests.query import sql
from manifests.reading.rules import ITEM_ID_FAULT
from restore.errors import ItemError, StorageConfigError, UsageError
from restore.formats import EXTENSIONS
from restore.storage import Entry, LeftOut, OutStore, Reason, is_local, photographs
from restore.storage.access import forbidden_reason
from restore.storage.base import HTTP
from restore.storage.retry import cannot_serve
from restore.storage.uris import Location, redact, resolve

OUTPUT_FOLDERS = ("images", "metadata", "runs", "plans", "reports", "lease")
OUTPUT_PART = r"^(|.*/)metadata/run=[^/]+/(?:part|compact)-[^/]*\.parquet$"
"""By this an output store shows itself among the photos; its pictures are no photos to be restored."""

BATCH = 10_000
MEMORY_LIMIT = "192MiB"
"""Of pairing; beyond, it spills. Ten million objects are paired in it as fast as in a gigabyte."""

LISTING = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("bytes", pa.int64()),
        pa.field("version", pa.string()),
        pa.field("mtime", pa.timestamp("us", "UTC")),
        pa.field("reason", pa.string()),
    ]
)
"""What a listing gives; `reason` says why it left this out, and then the rest is null."""

PRESENT = pa.schema([("item_id", pa.string()), ("below", pa.bool_())])
"""Names that a listing found: of an item, or of a folder that was not looked into, with all `below` it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a manifest is built from.

    Attributes:
        images: the folder of the photos; ids are their paths below it without the extension.
        masks: the folder of the masks; None where they lie among the photos.
        patterns: masks' paths below their folder, tried in order; none for the usual ones.
        sidecar: a CSV, JSON Lines or Parquet file of prompts and overrides by `item_id`.
        exclude: folders that are not listed, such as an output store.
    """

    images: str
    masks: str | None = None
    patterns: tuple[str, ...] = ()
    sidecar: str | None = None
    exclude: tuple[str, ...] = ()


def build(sources: Sources, out: str, *, probe: bool = False, present: Path | None = None) -> Listed:
    """Lists the photos and their masks and writes the manifest, in the order of ids, replacing an older one.

    The versions in it are those listed, and pin what a run reads.

    Args:
        out: a `.parquet` file in any store.
        probe: read each photo's header and note what it says.
        present: a Parquet file to write for `planning.removed`, of `PRESENT`: the names of all files below
            `images`, those left out of the manifest among them.

    Raises:
        UsageError: sources or an output that cannot be meant, or no photo at all.
        ManifestError: a sidecar with faults.
        StorageConfigError: a store that cannot be listed or written to.
    """
    here = f"{Path.cwd()}/"
    images, out = _root(sources.images), resolve(out, here)
    masks = _root(sources.masks) if sources.masks else images
    same_tree = _real(masks) == _real(images)
    patterns = parse_patterns(sources.patterns, same_tree=same_tree)
    exclude = [_root(uri) for uri in sources.exclude]
    _check_excluded(images, exclude)
    store, name = _target(out)
    with (
        tempfile.TemporaryDirectory(prefix="silverprint-listing-") as folder,
        sql.connection(MEMORY_LIMIT) as con,
    ):
        columns = load_sidecar(con, sources.sidecar)
        scratch = Path(folder)
        _list(con, "images", images, [*exclude, *([] if same_tree else [masks])], scratch)
        if same_tree:
            con.execute(_NO_MASKS_FOLDER)
        else:
            _list(con, "masks", masks, [*exclude, images], scratch)
        _sort_out(con, patterns, same_tree=same_tree)
        if present:
            _write_present(con, _below(images, [*exclude, masks]), present)
        _require_photos(con, images)
        _pair(con, patterns)
        _join(con, images, masks)
        _probe(con, scratch / "probed.parquet", wanted=probe)
        built = scratch / "manifest.parquet"
        con.execute(f"COPY ({_rows(columns)}) TO {sql.text(str(built))} (FORMAT parquet, COMPRESSION zstd)")
        listed = _listed(con, out)
        _write(store, name, built)
    return listed


def _root(uri: str) -> str:
    """A folder's URI, absolute, without a slash at its end."""
    if not uri:
        raise UsageError("a folder to list has no name; give its path or URI")
    reason = forbidden_reason(absolute := resolve(uri, f"{Path.cwd()}/"))
    if reason is None and Location.of(absolute).kind is HTTP:
        reason = "http has no listings; use a local folder, s3, gs or abfs"
    if reason:
        raise UsageError(f"{redact(uri)}: {reason}")
    return absolute.rstrip("/")


def _real(root: str) -> str:
    return os.path.realpath(root or "/") if is_local(root) else root


def _check_excluded(images: str, exclude: Sequence[str]) -> None:
    for uri in exclude:
        if f"{_real(images)}/".startswith(f"{_real(uri)}/"):
            raise UsageError(
                f"{redact(images)} lies inside {redact(uri)}, which is not to be listed; "
                "keep photos and outputs in folders of their own"
            )


def _target(out: str) -> tuple[OutStore, str]:
    folder, _, name = out.rpartition("/")
    if not name.endswith(".parquet"):
        raise UsageError(f"out={redact(out)}: a manifest is built as Parquet; let its name end in .parquet")
    return OutStore.open(folder or "/"), name


def _list(
    con: duckdb.DuckDBPyConnection, table: str, root: str, exclude: Sequence[str], scratch: Path
) -> None:
    """Makes `{table}_listed`, of `LISTING`, from all that lies below `root` and not below `exclude`, and
    `{table}_left_out`, what the listing left out.
    """
    inside = _below(root, exclude)
    path = scratch / f"{table}.parquet"
    found = (one for one in photographs(root or "/", is_litter) if not f"{one.path}/".startswith(inside))
    with pq.ParquetWriter(path, LISTING) as writer:
        for batch in _batches(found):
            writer.write_batch(batch)
    all_found = f"FROM read_parquet({sql.text(str(path))})"
    con.execute(f"""
        CREATE VIEW {table}_listed AS SELECT * EXCLUDE (reason) {all_found} WHERE reason IS NULL;
        CREATE VIEW {table}_left_out AS SELECT DISTINCT path, reason {all_found} WHERE reason IS NOT NULL;
    """)


_NO_MASKS_FOLDER = """
    CREATE VIEW masks_listed AS FROM images_listed WHERE false;
    CREATE VIEW masks_left_out AS FROM images_left_out WHERE false;
"""


def _below(root: str, folders: Sequence[str]) -> tuple[str, ...]:
    """Those of `folders` that lie below `root`: their paths there, with a slash at the end."""
    return tuple(
        f"{_real(uri).removeprefix(_real(root) + '/')}/"
        for uri in folders
        if _real(uri).startswith(f"{_real(root)}/")
    )


def _write_present(con: duckdb.DuckDBPyConnection, unlisted: Sequence[str], path: Path) -> None:
    """Write the names that the photos' folder holds: of its files, and of what was not looked into.

    A name that is not UTF-8 may be any photo's of its folder, as when a disk is mounted with another
    character set. So all of that folder may be there.
    """
    folders = pa.array([folder.rstrip("/") for folder in unlisted], pa.string())
    con.register("unlisted", pa.table({"path": folders}))
    con.execute(f"""
        COPY (
            WITH whole AS (
                FROM unlisted UNION SELECT path FROM images_left_out WHERE reason <> '{Reason.NOT_UTF8}'
            ), folder AS (
                FROM whole UNION SELECT regexp_extract(path, '(?s)^(.*)/[^/]*$', 1) FROM images_left_out
                WHERE reason = '{Reason.NOT_UTF8}'
            )
            SELECT DISTINCT item_id, false AS below FROM file
            UNION ALL SELECT {names.item_id(_stem())}, false FROM whole
            UNION ALL SELECT {names.item_id("path")}, true FROM folder
        ) TO {sql.text(str(path))} (FORMAT parquet, COMPRESSION zstd)
    """)


def _batches(found: Iterator[Entry | LeftOut]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(found, BATCH)):
        columns = zip(*map(_listed_row, some), strict=True)
        yield pa.RecordBatch.from_arrays(
            [pa.array(column, kind.type) for column, kind in zip(columns, LISTING, strict=True)],
            schema=LISTING,
        )


def _listed_row(found: Entry | LeftOut) -> tuple[object, ...]:
    """The values of `LISTING`."""
    if isinstance(found, LeftOut):
        return found.path, None, None, None, found.reason
    return found.path, found.size, found.version, found.modified, None


def _sort_out(con: duckdb.DuckDBPyConnection, patterns: Sequence[Pattern], *, same_tree: bool) -> None:
    """Makes `photo`, `mask` and `other`, and `file`, of which kind each one in the photos' tree is."""
    parts = f"SELECT path FROM images_listed WHERE regexp_matches(path, '{OUTPUT_PART}')"
    places = con.sql(f"SELECT DISTINCT regexp_extract(path, '{OUTPUT_PART}', 1) FROM ({parts})").fetchall()
    folders = [f"{place}{name}/" for (place,) in places for name in OUTPUT_FOLDERS]
    outputs = [f"starts_with(path, {sql.text(folder)})" for folder in folders]
    is_mask = " OR ".join(pattern.matches() for pattern in patterns) if same_tree else "false"
    con.execute(f"""
        CREATE VIEW file AS SELECT *, {names.item_id("stem")} AS item_id,
            CASE WHEN {" OR ".join(outputs) or "false"} THEN 'output' WHEN NOT {_is_picture()} THEN 'other'
                WHEN {is_mask} THEN 'mask' ELSE 'photo' END AS kind
        FROM (SELECT *, {_stem()} AS stem FROM images_listed);
        CREATE TABLE photo AS
        SELECT item_id, path, bytes, version, mtime, {ITEM_ID_FAULT} AS fault FROM file WHERE kind = 'photo'
        UNION ALL BY NAME SELECT path, 'is not UTF-8' AS fault FROM images_left_out
        WHERE reason = '{Reason.NOT_UTF8}' AND {_is_picture()};
        CREATE VIEW mask AS {_masks(same_tree)};
        CREATE VIEW left_out AS FROM images_left_out UNION ALL FROM masks_left_out;
        CREATE VIEW other AS SELECT path FROM file WHERE kind = 'other'
        UNION ALL SELECT path FROM masks_listed WHERE NOT {_is_picture()}
        UNION ALL SELECT path FROM left_out WHERE reason = '{Reason.NOT_UTF8}' AND NOT {_is_picture()};
    """)


def _masks(same_tree: bool) -> str:
    columns = "path, bytes, version, mtime"
    if same_tree:
        return f"SELECT {columns}, stem FROM file WHERE kind = 'mask'"
    return f"SELECT {columns}, {_stem()} AS stem FROM masks_listed WHERE {_is_picture()}"


def _stem() -> str:
    return r"regexp_replace(path, '\.[^./]*$', '')"


def _is_picture() -> str:
    return rf"regexp_matches(path, '(?i)\.({'|'.join(EXTENSIONS)})$')"


def _require_photos(con: duckdb.DuckDBPyConnection, images: str) -> None:
    if not _count(con, "photo"):
        others = _count(con, "images_listed")
        raise UsageError(
            f"{redact(images)}: no photos among {others} files (an output store's are not counted); "
            f"photos end in {', '.join(EXTENSIONS)}: correct the setting images or mask_pattern"
        )


def _pair(con: duckdb.DuckDBPyConnection, patterns: Sequence[Pattern]) -> None:
    """Makes `taken` (each id with the masks of the first pattern that gives any) and `ambiguous`."""
    candidates = " UNION ALL ".join(
        f"SELECT {names.item_id(pattern.stem())} AS item_id, {rank} AS rank, * EXCLUDE (stem) "
        f"FROM mask WHERE {pattern.matches()}"
        for rank, pattern in enumerate(patterns)
    )
    con.execute(f"""
        CREATE TABLE candidate AS SELECT * FROM ({candidates}) SEMI JOIN photo USING (item_id);
        CREATE TABLE taken AS SELECT candidate.* FROM candidate JOIN (
            SELECT item_id, min(rank) AS rank FROM candidate GROUP BY item_id) USING (item_id, rank);
        CREATE TABLE ambiguous AS SELECT item_id, string_agg(claim, '; ' ORDER BY claim) AS claims FROM (
            {_twice("(FROM photo WHERE fault IS NULL)", "photos")} UNION ALL {_twice("taken", "masks")}
            UNION ALL SELECT item_id, 'a mask of other photos too: ' || path FROM taken
                WHERE path IN (SELECT path FROM taken GROUP BY path HAVING count(*) > 1)
        ) SEMI JOIN (FROM photo WHERE fault IS NULL) USING (item_id) GROUP BY item_id
    """)


def _twice(table: str, what: str) -> str:
    """SQL: ids that come more than once. Hashes first: they take less memory, and hardly any come twice."""
    return f"""
        SELECT item_id,
            count(*) || ' {what}: ' || array_to_string(list(path ORDER BY path)[:5], ', ') AS claim
        FROM {table} WHERE hash(item_id) IN (
            SELECT hash(item_id) FROM {table} GROUP BY hash(item_id) HAVING count(*) > 1)
        GROUP BY item_id HAVING count(*) > 1
    """


def _join(con: duckdb.DuckDBPyConnection, images: str, masks: str) -> None:
    """Makes `wanted`: the rows without what a sidecar and a probe add."""
    con.execute(f"""
        CREATE TABLE wanted AS SELECT photo.item_id,
            {sql.text(images + "/")} || photo.path AS image, {sql.text(masks + "/")} || taken.path AS mask,
            photo.version AS image_version, taken.version AS mask_version,
            photo.bytes AS image_bytes, photo.mtime AS image_mtime,
            taken.bytes AS mask_bytes, taken.mtime AS mask_mtime
        FROM photo LEFT JOIN taken USING (item_id) ANTI JOIN ambiguous USING (item_id) WHERE fault IS NULL
    """)


def _probe(con: duckdb.DuckDBPyConnection, path: Path, *, wanted: bool) -> None:
    """Makes `probed`."""
    from manifests.listing import probe

    if wanted:
        probe.probe_headers(con, "SELECT image, image_version, image_bytes FROM wanted", path)
    else:
        pq.write_table(probe.SCHEMA.empty_table(), path)
    con.execute(f"CREATE VIEW probed AS FROM read_parquet({sql.text(str(path))})")


def _rows(sidecar: Sequence[str]) -> str:
    sidecar_columns = "".join(f", sidecar.{sql.name(column)}" for column in sidecar)
    return f"""
        SELECT wanted.*, probed.* EXCLUDE (image, fault){sidecar_columns}
        FROM wanted LEFT JOIN probed USING (image) LEFT JOIN sidecar USING (item_id) ORDER BY wanted.item_id
    """


def _listed(con: duckdb.DuckDBPyConnection, manifest: str) -> Listed:
    unpaired_masks = f"""SELECT path FROM mask ANTI JOIN taken USING (path)
        UNION ALL SELECT path FROM masks_left_out WHERE reason = '{Reason.NOT_UTF8}' AND {_is_picture()}"""
    left_out = "SELECT path FROM left_out WHERE reason = '{}'"
    return Listed(
        manifest=manifest,
        photos=_count(con, "photo"),
        rows=_count(con, "wanted"),
        unpaired_images=_found(con, "SELECT item_id FROM wanted WHERE mask IS NULL"),
        unpaired_masks=_found(con, unpaired_masks),
        ambiguous=_found(con, "SELECT item_id || ': ' || claims FROM ambiguous"),
        illegal=_found(con, "SELECT path || ': ' || fault FROM photo WHERE fault IS NOT NULL"),
        other_files=_found(con, "SELECT path FROM other"),
        outputs=_found(con, "SELECT path FROM file WHERE kind = 'output'"),
        links=_found(con, left_out.format(Reason.LINK)),
        passed_over=_found(con, left_out.format(Reason.PASSED_OVER)),
        unknown_in_sidecar=_found(con, "SELECT item_id FROM sidecar ANTI JOIN wanted USING (item_id)"),
        unreadable=_found(con, "SELECT image || ': ' || fault FROM probed WHERE fault IS NOT NULL"),
    )


def _found(con: duckdb.DuckDBPyConnection, query: str) -> Found:
    first = con.sql(f"FROM ({query}) AS found(name) ORDER BY name LIMIT {FIRST}").fetchall()
    return Found(_count(con, f"({query})"), tuple(name for (name,) in first))


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    ((count,),) = con.sql(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)


def _write(store: OutStore, name: str, built: Path) -> None:
    """Replaces the manifest at once; it is whole in memory, as it will be for its reader."""
    try:
        store.overwrite(name, built.read_bytes())
    except ItemError as error:
        raise StorageConfigError(f"the manifest cannot be written: {error.message}") from error
    except OSError as error:
        raise StorageConfigError(f"out={store.root}/{name}: {cannot_serve(error)}") from error
