"""The command line tools for logs and diffs (docs/reference/walb-tools.md)."""
