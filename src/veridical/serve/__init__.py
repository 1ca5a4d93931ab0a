"""The service: a page and a REST interface over worker processes; the only room that knows HTTP."""
