"""The demonstration: a whole backup group on this machine, watched from outside (`make demo`)."""
