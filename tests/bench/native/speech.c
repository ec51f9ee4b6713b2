#include "speech.h"

#include <string.h>

#define SALTS 1021 /* a prime, so that neighbours differ */
#define UNIT 8

#define MEMBERS "\"timestamp\":\"" STAMP "\",\"channelId\":null,"
#define ASK "{\"type\":\"incomingChatMessage\"," MEMBERS "\"content\":\""
#define TEXT "{\"type\":\"text\"," MEMBERS "\"content\":{\"source\":\"assistant\",\"text\":\""
/* As Python's json.dumps writes by default: blanks, and no byte beyond ASCII. */
#define BLANKS "\"timestamp\": \"" STAMP "\", \"channelId\": null, "
#define LINES ",\n  \"timestamp\": \"" STAMP "\",\n  \"channelId\": null,\n  "

/* Of the vendor's types those that may come again and again, and that are shown by default. */
static const struct kind kinds[] = {
    {"compact", ASK, "\"}", TEXT, "\"}}", NULL},
    {"short", "{\"type\":\"incomingChatMessage\",\"timestamp\":\"" STAMP "\",\"content\":\"",
     "\"}", "{\"type\":\"text\",\"content\":{\"source\":\"assistant\",\"text\":\"", "\"}}", NULL},
    {"shuffled", "{\"content\":\"",
     "\",\"channelId\":null,\"timestamp\":\"" STAMP "\",\"type\":\"incomingChatMessage\"}",
     "{\"channelId\":null,\"content\":{\"text\":\"",
     "\",\"source\":\"assistant\"},\"timestamp\":\"" STAMP "\",\"type\":\"text\"}", NULL},
    {"json.dumps", "{\"type\": \"incomingChatMessage\", " BLANKS "\"content\": \"", "\"}",
     "{\"type\": \"text\", " BLANKS "\"content\": {\"source\": \"assistant\", \"text\": \"", "\"}}",
     "the end \\u00e9ab\\u4e2d ato come \\u201co \\u201dwe"},
    {"indented", "{\n  \"type\": \"incomingChatMessage\"" LINES "\"content\": \"", "\"\n}",
     "{\n  \"type\": \"text\"" LINES "\"content\": {\n    \"source\": \"assistant\",\n    \"text\": \"",
     "\"\n  }\n}", NULL},
    {"escaped", ASK, "\"}", TEXT, "\"}}", "the end a \\\"b\\\" wait.\\n c:\\\\dir and so. "},
    {"not-ASCII", ASK, "\"}", TEXT, "\"}}",
     "the end gr\303\266\303\237e na\303\257ve a\360\237\230\200 ok "},
    {"event", ASK, "\"}", "{\"type\":\"event\",\"name\":\"opened\"," MEMBERS "\"data\":{\"note\":\"",
     "\"}}", NULL},
};

const struct kind *kind = kinds;
size_t ask_length, ask_end_length, answer_length, answer_end_length, filling;

static unsigned char plain[LONGEST_MESSAGE + SALTS];
static unsigned char mixed[LONGEST_MESSAGE + (SALTS + 1) * UNIT]; /* of the kind's units */

static uint32_t thrown(uint32_t dice)
{
    dice ^= dice << 13, dice ^= dice >> 17, dice ^= dice << 5;
    return dice;
}

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
    while (at < sizeof plain) {
        dice = thrown(dice);
        const char *word = vocabulary[dice % (sizeof vocabulary / sizeof *vocabulary)];
        for (; *word && at < sizeof plain; word++)
            plain[at++] = (unsigned char)*word;
        if (at < sizeof plain)
            plain[at++] = ' ';
    }
    speech_use(0);
}

bool speech_use(unsigned number)
{
    if (number >= sizeof kinds / sizeof *kinds)
        return false;
    kind = &kinds[number];
    ask_length = strlen(kind->ask), ask_end_length = strlen(kind->ask_end);
    answer_length = strlen(kind->answer), answer_end_length = strlen(kind->answer_end);
    size_t asked = ask_length + ask_end_length, answered = answer_length + answer_end_length;
    filling = answered > asked + LEAST_FILLING ? answered - asked : LEAST_FILLING;
    if (kind->units) {
        uint32_t dice = 2463534242u;
        for (size_t at = 0; at < sizeof mixed; at += UNIT) {
            dice = thrown(dice);
            memcpy(mixed + at, kind->units + dice % (strlen(kind->units) / UNIT) * UNIT, UNIT);
        }
    }
    return true;
}

size_t shortest_message(void)
{
    return ask_length + filling + TAG_LENGTH + ask_end_length;
}

/* Words of units are cut between two of them: what is too little for one more stands before. */
static const unsigned char *words(uint32_t salt, size_t length, size_t *rest)
{
    *rest = kind->units ? length % UNIT : 0;
    return kind->units ? mixed + salt % SALTS * UNIT : plain + salt % SALTS;
}

void write_words(unsigned char *out, uint32_t salt, size_t length)
{
    size_t rest;
    const unsigned char *from = words(salt, length, &rest);
    memset(out, '-', rest);
    memcpy(out + rest, from, length - rest);
}

bool are_words(const unsigned char *text, uint32_t salt, size_t length)
{
    size_t rest;
    const unsigned char *from = words(salt, length, &rest);
    return memcmp(text, "-------", rest) == 0 && memcmp(text + rest, from, length - rest) == 0;
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
