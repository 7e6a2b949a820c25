"""Public data tables, learned alone and together, against scikit-learn: ``python -m benchmarks.tables``."""
