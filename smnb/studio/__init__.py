"""What `make run` starts and looks after: the embedded Redis, the web process, workers, sweeper."""
