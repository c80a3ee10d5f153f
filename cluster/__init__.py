"""Where the job runs: profiles of resources, and the files that bring a cluster up."""
