"""What replicas share: tickets, caps, the session registry, messages to a session's owner."""
