"""What a person sees: live lines, header, summary."""
