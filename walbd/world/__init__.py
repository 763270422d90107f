"""Time, randomness, network and durable files: the one seam through which the outside comes in."""
