"""Log packs, ring, log devices, wlog files."""
