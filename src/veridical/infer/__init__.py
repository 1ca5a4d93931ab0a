"""From features to a decision: posterior, calibration, out-of-distribution score, priors."""
