"""`python -m gradpipe.cli` is `gradpipe`."""

from gradpipe.cli import main

main()
