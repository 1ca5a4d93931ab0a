"""What in a face supported its verdict, and how far a map can be trusted."""
