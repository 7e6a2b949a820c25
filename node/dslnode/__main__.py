"""``python -m dslnode``: the same as the ``dslnode`` command."""

from dslnode.cli.main import main

main()
