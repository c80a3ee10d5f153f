"""What is wanted and what is committed, millions of rows at a time.

schema.py      a manifest, read and checked
listing.py     a manifest built from what a store lists; patterns.py, sidecar.py and probe.py are its parts
committed.py   what OUT holds
diff.py        the two compared: what to do, and why
upkeep.py      parts merged, garbage removed
audit.py       OUT held against its rows
export.py      current pictures as a table and as a tree
compare.py     the same for people, and as a manifest; two manifests compared
removed.py     what the archive shows and the manifest no longer names
reuse.py       rows for pictures that are there already
__main__.py    all of it as commands
spool.py       rows in a file of their own, where they may be too many for memory
sql.py         how all of them speak to DuckDB
"""
