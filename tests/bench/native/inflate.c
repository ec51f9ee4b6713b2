#include "inflate.h"

#if __has_include(<zlib.h>)
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define WINDOW 12 /* uvicorn asks a browser for no more (client_max_window_bits) */
#define TAIL "\x00\x00\xff\xff"

bool inflate_available(void)
{
    return true;
}

size_t deflate_message(const unsigned char *in, size_t length, unsigned char *out, size_t room)
{
    static z_stream stream;
    static bool started;
    if (!started)
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW, 8, Z_DEFAULT_STRATEGY);
    started = true;
    deflateReset(&stream);
    stream.next_in = (unsigned char *)in;
    stream.avail_in = (unsigned)length;
    stream.next_out = out;
    stream.avail_out = (unsigned)room;
    deflate(&stream, Z_SYNC_FLUSH);
    return room - stream.avail_out - 4;
}

size_t inflate_message(void **state, const unsigned char *in, size_t length, unsigned char *out,
                       size_t room)
{
    z_stream *stream = *state;
    if (!stream) {
        stream = *state = calloc(1, sizeof *stream);
        inflateInit2(stream, -15);
    }
    stream->next_in = (unsigned char *)in;
    stream->avail_in = (unsigned)length;
    stream->next_out = out;
    stream->avail_out = (unsigned)room;
    inflate(stream, Z_SYNC_FLUSH);
    stream->next_in = (unsigned char *)TAIL;
    stream->avail_in = 4;
    inflate(stream, Z_SYNC_FLUSH);
    return room - stream->avail_out;
}

void inflate_forget(void *state)
{
    if (state)
        inflateEnd(state);
    free(state);
}

#else

bool inflate_available(void)
{
    return false;
}

size_t deflate_message(const unsigned char *in, size_t length, unsigned char *out, size_t room)
{
    (void)in, (void)length, (void)out, (void)room;
    return 0;
}

size_t inflate_message(void **state, const unsigned char *in, size_t length, unsigned char *out,
                       size_t room)
{
    (void)state, (void)in, (void)length, (void)out, (void)room;
    return 0;
}

void inflate_forget(void *state)
{
    (void)state;
}

#endif
