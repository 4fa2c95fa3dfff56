"""`python -m producer`: the same as the command `pg-producer`."""

from producer.cli import main

main()
