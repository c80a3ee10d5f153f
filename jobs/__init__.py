"""What `ray job submit` runs: argv -> settings -> flow -> exit code."""
