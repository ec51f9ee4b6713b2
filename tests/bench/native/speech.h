/* What both ends say: the vendor's frames, of a size to order, every byte of them known.
 *
 * A browser's message and the vendor's answer have the same tail. It begins with who sent it, which
 * of its messages it is, and which of the answers this one is. What stands around the tail, and
 * what the words in it are made of, is the kind of frame; in the first kind both have one length. */
#ifndef BENCH_SPEECH_H
#define BENCH_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAMP "2026-01-01T00:00:00.000Z"
#define LENGTH(constant) (sizeof(constant) - 1)
#define TAG_LENGTH 20 /* iiiiiiii:ssssssss:nn, then the words */
#define LEAST_FILLING 2
#define LONGEST_MESSAGE 65000
#define LONGEST_ENVELOPE 256

struct kind {
    const char *name;
    const char *ask, *ask_end, *answer, *answer_end;
    const char *units; /* of eight bytes, from which words are chosen; NULL: plain words */
};

/* The kind that both ends speak, and the lengths of its parts. A message's content begins with
 * `filling`, of which the first two bytes say how many answers it asks for. */
extern const struct kind *kind;
extern size_t ask_length, ask_end_length, answer_length, answer_end_length, filling;

#define INITIALIZE                                                                               \
    "{\"type\":\"initialize\",\"timestamp\":\"" STAMP                                            \
    "\",\"channelId\":null,\"request\":{\"callType\":\"chat\"}}"
#define TERMINATE "{\"type\":\"terminate\",\"timestamp\":\"" STAMP "\",\"channelId\":null}"
#define GREETING_FRAME                                                                           \
    "{\"type\":\"event\",\"name\":\"connection\",\"timestamp\":\"" STAMP                         \
    "\",\"channelId\":null,\"data\":{\"recordId\":\"bench\"}}"

/* False if there is no such kind. No message may be under way. */
bool speech_use(unsigned number);
/* The shortest message of the kind. */
size_t shortest_message(void);
void write_tag(unsigned char *out, uint32_t id, uint32_t sequence, unsigned answer);
/* `length` bytes of the kind's words, other ones for another `salt`. */
void write_words(unsigned char *out, uint32_t salt, size_t length);
bool are_words(const unsigned char *text, uint32_t salt, size_t length);
void speech_start(void);

#endif
