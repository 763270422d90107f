"""Walb block devices: the kernel driver's and our own user-space device behind one interface (wdev.md)."""
