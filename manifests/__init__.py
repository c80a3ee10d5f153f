"""What is wanted and what is committed, millions of rows at a time.

query/      DuckDB: connections, quoting, rows spooled to disk
reading/    a manifest file -> checked rows
catalog/    what an output store holds: its rows, their upkeep, verification and export
listing/    a store's listing -> a manifest
planning/   the two compared: what to do, and why
commands/   `python -m manifests COMMAND`
"""

from restore import installation

installation.require()
