"""One conversation's I/O: two legs, the tools beside them, one way to close."""
