"""The command line tools for logs and diffs (docs/tools.md)."""
