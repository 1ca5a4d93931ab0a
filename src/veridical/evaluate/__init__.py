"""A model and labelled pictures in, figures with intervals out."""
