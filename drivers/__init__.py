"""How to talk to mining hardware: codecs, transports, chips, bridges, parts and boards."""
