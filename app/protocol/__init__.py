"""The rules of a conversation, pure: frames in, actions out; no clock, no socket."""
