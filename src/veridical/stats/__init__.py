"""How far to trust a number: intervals, rankings, metrics."""
