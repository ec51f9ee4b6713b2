/* RFC 6455 as far as a load generator and an echo need it: whole text frames, pings, closes. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opcode { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

#define LONGEST_HEADER 14

struct frame {
    int opcode;
    bool deflated; /* RSV1, RFC 7692 §6 */
    bool masked;
    unsigned char *payload; /* in place; unmasked by frame_parse */
    size_t length;
    size_t total; /* header and payload */
};

/* 1: a whole frame, unmasked in place. 0: not all of it is here yet. -1: nothing a peer may send. */
int frame_parse(unsigned char *bytes, size_t count, struct frame *frame);

/* Write a header; the payload follows. `mask` is NULL from servers. Returns the header's length. */
size_t frame_header(unsigned char *out, int opcode, bool deflated, size_t length,
                    const unsigned char *mask);

void apply_mask(unsigned char *bytes, size_t length, const unsigned char mask[4]);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2). `out` takes 29 bytes. */
void accept_key(const char *key, char *out);

#endif
