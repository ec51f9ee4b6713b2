/* A browser's way in: connect, upgrade. */
#ifndef BENCH_DIAL_H
#define BENCH_DIAL_H

#include "browser.h"
#include "loop.h"

void dial_start(struct conn **slots, int *used, uint32_t *next_id, const struct target *target,
                int abreast);
/* Dial while there is someone left to dial and fewer than `abreast` are under way. */
void dial_more(int *left, int *pending);
void dial_connected(struct conn *conn);
/* Returns the length of the answer's head once it is whole, and then has set the state. */
size_t dial_upgraded(struct conn *conn, unsigned char *bytes, size_t count);

#endif
