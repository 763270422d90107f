"""The reference pages (docs/reference) and the man pages (docs/man), made from what the programs themselves run on.

    python -m scripts.reference

Pages of programs, of states and of answers as JSON are made from tables. Those of files and concepts are written by
hand, in docs/reference; of them a man page is made as of every other. A page begins with `# NAME(SECTION): PURPOSE`.
"""
