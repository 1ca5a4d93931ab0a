"""Find faces, crop them, and turn crops into tokens."""
