/* RFC 7692 for the browsers' end. Without zlib's headers, `inflate_available` is false. */
#ifndef BENCH_INFLATE_H
#define BENCH_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

bool inflate_available(void);
/* One compressor for all, emptied after each message, which RFC 7692 §7.2.3.2 leaves to us. */
size_t deflate_message(const unsigned char *in, size_t length, unsigned char *out, size_t room);
/* A peer may refer back to earlier messages: each session has a window of its own, at `*state`. */
size_t inflate_message(void **state, const unsigned char *in, size_t length, unsigned char *out,
                       size_t room);
void inflate_forget(void *state);

#endif
