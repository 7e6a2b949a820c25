"""Other methods of learning together, to compare with: what `dslnode simulate --method` and the benchmarks run."""
