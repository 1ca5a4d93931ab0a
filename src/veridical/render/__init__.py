"""Answers for programs (`records`), for the terminal (`terminal`) and as pictures (`overlay`)."""
