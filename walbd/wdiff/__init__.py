"""wdiff files: reading, writing, merging, applying."""
