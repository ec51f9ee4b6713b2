#include "wire.h"

#include <stdio.h>
#include <string.h>

#define MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void apply_mask(unsigned char *bytes, size_t length, const unsigned char mask[4])
{
    uint32_t narrow;
    memcpy(&narrow, mask, 4);
    uint64_t wide = (uint64_t)narrow << 32 | narrow;
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, 8);
        word ^= wide;
        memcpy(bytes + at, &word, 8);
    }
    for (; at < length; at++)
        bytes[at] ^= mask[at & 3];
}

int frame_parse(unsigned char *bytes, size_t count, struct frame *frame)
{
    if (count < 2)
        return 0;
    if (!(bytes[0] & 0x80) || (bytes[0] & 0x30)) /* nobody here fragments or uses RSV2, RSV3 */
        return -1;
    size_t header = 2, length = bytes[1] & 0x7f;
    if (length == 126) {
        if (count < 4)
            return 0;
        length = (size_t)bytes[2] << 8 | bytes[3];
        header = 4;
    } else if (length == 127) {
        if (count < 10)
            return 0;
        length = 0;
        for (int i = 2; i < 10; i++)
            length = length << 8 | bytes[i];
        header = 10;
        if (length > 1 << 24)
            return -1;
    }
    frame->masked = bytes[1] & 0x80;
    unsigned char *mask = bytes + header;
    if (frame->masked)
        header += 4;
    if (count < header + length)
        return 0;
    frame->opcode = bytes[0] & 0x0f;
    frame->deflated = bytes[0] & 0x40;
    frame->payload = bytes + header;
    frame->length = length;
    frame->total = header + length;
    if (frame->masked)
        apply_mask(frame->payload, length, mask);
    return 1;
}

size_t frame_header(unsigned char *out, int opcode, bool deflated, size_t length,
                    const unsigned char *mask)
{
    size_t at = 2;
    unsigned char bit = mask ? 0x80 : 0;
    out[0] = (unsigned char)(0x80 | (deflated ? 0x40 : 0) | opcode);
    if (length < 126) {
        out[1] = (unsigned char)(bit | length);
    } else if (length < 65536) {
        out[1] = bit | 126;
        out[2] = (unsigned char)(length >> 8);
        out[3] = (unsigned char)length;
        at = 4;
    } else {
        out[1] = bit | 127;
        for (int i = 0; i < 8; i++)
            out[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
        at = 10;
    }
    if (mask) {
        memcpy(out + at, mask, 4);
        at += 4;
    }
    return at;
}

static uint32_t rotate(uint32_t word, int by)
{
    return word << by | word >> (32 - by);
}

/* FIPS 180-4, for inputs that fit two blocks: a key and the magic are 60 bytes. */
static void sha1(const char *text, size_t length, unsigned char digest[20])
{
    unsigned char padded[128] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t blocks = length + 9 <= 64 ? 1 : 2;
    memcpy(padded, text, length);
    padded[length] = 0x80;
    for (int i = 0; i < 4; i++)
        padded[blocks * 64 - 4 + i] = (unsigned char)(length * 8 >> (24 - 8 * i));
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            const unsigned char *p = padded + block * 64 + i * 4;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++)
            w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20)
                f = (b & c) | (~b & d), k = 0x5a827999;
            else if (i < 40)
                f = b ^ c ^ d, k = 0x6ed9eba1;
            else if (i < 60)
                f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
            else
                f = b ^ c ^ d, k = 0xca62c1d6;
            uint32_t next = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void accept_key(const char *key, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char joined[96];
    unsigned char digest[21] = {0};
    int length = snprintf(joined, sizeof joined, "%.24s%s", key, MAGIC);
    sha1(joined, (size_t)length, digest);
    for (int i = 0; i < 7; i++) {
        const unsigned char *p = digest + i * 3;
        out[i * 4] = alphabet[p[0] >> 2];
        out[i * 4 + 1] = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
        out[i * 4 + 2] = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
        out[i * 4 + 3] = alphabet[p[2] & 63];
    }
    out[27] = '=';
    out[28] = 0;
}
