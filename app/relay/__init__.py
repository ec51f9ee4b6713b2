"""All of a conversation's I/O: two legs, the tools beside them, and one road out."""
