"""Gids, snapshots, diffs and volume states: pure functions and frozen values, no I/O."""
