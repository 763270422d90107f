"""walb-storage."""
