"""Screens over a `RigPort`: live, joined or recorded. Nothing here can touch a board but by asking."""
