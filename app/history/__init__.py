"""What conversations leave behind: transcripts, events, tool calls, results."""
