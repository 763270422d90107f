"""The user-space device server: NBD in front, log device and data device behind."""
