"""A model and labelled pictures in, measures with intervals out."""
