"""What a serving process writes."""
