"""What replicas do for each other: resume, watch and end a session wherever it lives."""
