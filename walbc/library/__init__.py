"""The operator library: one implementation behind the packages `walblib` (API of 1.0.19) and `walb` (API of 2014)."""
