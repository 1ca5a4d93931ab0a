"""Answers for people and programs: sentences, terminal, HTML, figures, JSON."""
