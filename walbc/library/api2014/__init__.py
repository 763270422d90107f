"""Where the library of August 2014 differs from that of 1.0.19 (python-library.md section 1.2)."""
