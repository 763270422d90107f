"""Control command and operator library."""
