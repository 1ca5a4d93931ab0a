"""The page at `/`: drop a photo, understand the answer."""
