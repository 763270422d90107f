"""walb-archive."""
