"""Ports that carry bytes: serial, memory, socket; and the tap that records them."""
