"""What in a face spoke for its verdict, and how far a map can be trusted."""
