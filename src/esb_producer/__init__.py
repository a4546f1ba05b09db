"""The producer: SAM templates → artifact roots and one manifest; renders, and applies nothing."""
