"""What is wanted and what is committed, millions of rows at a time.

schema.py      a manifest, read and checked
committed.py   what OUT holds
diff.py        the two compared: what to do, and why
__main__.py    all of it as commands
sql.py         how the three speak to DuckDB
"""
