"""What is wanted and what is committed, millions of rows at a time.

schema.py      a manifest, read and checked
listing.py     a manifest built from what a store lists; patterns.py, sidecar.py and probe.py are its parts
committed.py   what OUT holds
diff.py        the two compared: what to do, and why
upkeep.py      parts merged, garbage removed
audit.py       OUT held against its rows
export.py      current pictures as a table and as a tree
__main__.py    all of it as commands
sql.py         how they speak to DuckDB
"""
