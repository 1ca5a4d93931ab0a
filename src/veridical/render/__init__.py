"""Answers for programs (`records`), for people (`terminal`), as pictures (`overlay`, `cues`)."""
