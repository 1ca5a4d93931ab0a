"""From a labelled folder to a model folder, and from a model folder to its measured worth."""
