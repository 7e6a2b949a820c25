"""The tables of README.md and docs/, written from ``benchmarks/results/*.json``: ``python -m benchmarks.results``."""
