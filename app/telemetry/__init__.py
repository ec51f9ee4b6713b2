"""What the gateway says of itself: logs, metrics, traces."""
