"""Speed, memory and size, measured side by side with a peer in one run: ``python -m benchmarks [name …]``."""
