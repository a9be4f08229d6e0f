"""`python -m rdpcodec` is the command `rdpcodec`."""

from rdpcodec.cli import main

main()
