"""``python -m dslnode``: the same as the ``dslnode`` command."""

from dslnode.cli.entry import main

main()
