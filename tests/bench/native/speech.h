/* What both ends say: the vendor's frames, of a size to order, every byte of them known.
 *
 * A browser's message and the vendor's answer have the same length and the same tail. The tail
 * begins with who sent it, which of its messages it is, and which of the answers this one is. */
#ifndef BENCH_SPEECH_H
#define BENCH_SPEECH_H

#include <stddef.h>
#include <stdint.h>

#define STAMP "2026-01-01T00:00:00.000Z"
#define ASK                                                                                      \
    "{\"type\":\"incomingChatMessage\",\"timestamp\":\"" STAMP "\",\"channelId\":null,\"content\":\""
#define ASK_END "\"}"
#define ANSWER                                                                                   \
    "{\"type\":\"text\",\"timestamp\":\"" STAMP                                                  \
    "\",\"channelId\":null,\"content\":{\"source\":\"assistant\",\"text\":\""
#define ANSWER_END "\"}}"
#define LENGTH(constant) (sizeof(constant) - 1)
/* What an answer's envelope is longer by: a message's content begins with that much filling. */
#define FILLING (LENGTH(ANSWER) + LENGTH(ANSWER_END) - LENGTH(ASK) - LENGTH(ASK_END))
#define TAG_LENGTH 20 /* iiiiiiii:ssssssss:nn, then the words */
#define SHORTEST_MESSAGE (LENGTH(ANSWER) + LENGTH(ANSWER_END) + TAG_LENGTH + 2)
#define LONGEST_MESSAGE 65000

#define INITIALIZE                                                                               \
    "{\"type\":\"initialize\",\"timestamp\":\"" STAMP                                            \
    "\",\"channelId\":null,\"request\":{\"callType\":\"chat\"}}"
#define TERMINATE "{\"type\":\"terminate\",\"timestamp\":\"" STAMP "\",\"channelId\":null}"
#define GREETING_FRAME                                                                           \
    "{\"type\":\"event\",\"name\":\"connection\",\"timestamp\":\"" STAMP                         \
    "\",\"channelId\":null,\"data\":{\"recordId\":\"bench\"}}"

void write_tag(unsigned char *out, uint32_t id, uint32_t sequence, unsigned answer);
/* `length` bytes of plain words, other ones for another `salt`. Never more than LONGEST_MESSAGE. */
const unsigned char *words(uint32_t salt);
void speech_start(void);

#endif
