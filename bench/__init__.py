"""Side-by-side timings (`make bench`): ratios of medians, alternated in one run."""
