"""What was measured and does not ship. The benchmarks that rejected it use it."""
