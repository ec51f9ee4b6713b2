#include "speech.h"

#include <string.h>

#define SALTS 1021 /* a prime, so that neighbours differ */

static unsigned char pool[LONGEST_MESSAGE + SALTS];

void speech_start(void)
{
    static const char *const vocabulary[] = {
        "the",    "order",  "you",   "placed", "on",      "Monday", "has",   "left",  "our",
        "house",  "and",    "will",  "be",     "with",    "in",     "two",   "days",  "if",
        "that",   "suits",  "please", "tell",  "me",      "which",  "street", "number", "would",
        "like",   "to",     "hear",  "a",      "summary", "of",     "what",  "we",    "agreed",
        "before", "I",      "book",  "it",     "for",     "eleven", "o'clock", "then", "again",
    };
    uint32_t dice = 2463534242u; /* xorshift: the same words in every run */
    size_t at = 0;
    while (at < sizeof pool) {
        dice ^= dice << 13, dice ^= dice >> 17, dice ^= dice << 5;
        const char *word = vocabulary[dice % (sizeof vocabulary / sizeof *vocabulary)];
        for (; *word && at < sizeof pool; word++)
            pool[at++] = (unsigned char)*word;
        if (at < sizeof pool)
            pool[at++] = ' ';
    }
}

const unsigned char *words(uint32_t salt)
{
    return pool + salt % SALTS;
}

static void hex8(unsigned char *out, uint32_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 4)
        out[i] = (unsigned char)"0123456789abcdef"[value & 15];
}

void write_tag(unsigned char *out, uint32_t id, uint32_t sequence, unsigned answer)
{
    hex8(out, id);
    out[8] = ':';
    hex8(out + 9, sequence);
    out[17] = ':';
    out[18] = (unsigned char)('0' + answer / 10);
    out[19] = (unsigned char)('0' + answer % 10);
}
