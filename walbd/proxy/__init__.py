"""walb-proxy."""
