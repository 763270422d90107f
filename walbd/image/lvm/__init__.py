"""Images as logical volumes: thick, and thin in a pool."""
