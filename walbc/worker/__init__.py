"""walb-worker: applies, merges, replicates and thins out the volumes of one archive by policy (docs/worker.md)."""
