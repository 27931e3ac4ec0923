"""The far side of the wire: silicon, firmware, parts and plant that answer in the same bytes as hardware."""
