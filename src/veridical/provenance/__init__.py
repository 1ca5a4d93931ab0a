"""What a file says about its own origin."""
