"""The store of the workers of one machine: a server of the part of Redis that the gateway uses.

It speaks RESP2 on a Unix socket, so that everything above it is what runs with Redis. It keeps
nothing on disk. Commands, options and answers are those of Redis 7 (redis.io/docs/commands).
"""
