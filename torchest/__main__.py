"""`python -m torchest`: see `torchest.command_line`."""

from torchest.command_line import main

main()
