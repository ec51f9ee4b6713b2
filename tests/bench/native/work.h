/* What browsers and the orders they carry out know of each other. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "browser.h"
#include "loop.h"

#define MOST_BROWSERS 16384

struct work {
    struct conn *browsers[MOST_BROWSERS];
    const struct target *target;
    int opened, pending, to_open;
    size_t message_size;
    unsigned answers_asked; /* per message */
    bool asking;            /* an answered browser asks again at once */
    bool pacing;            /* delays are taken */
    uint64_t asked, answered;
    uint64_t outstanding; /* messages whose answers have not all come */
};

extern struct work work;

void browser_ask(struct conn *conn);
void browser_confirm(struct conn *conn, bool at_once);
void browser_say(struct conn *conn, int opcode, const unsigned char *payload, size_t length);
void work_sampled(const struct conn *conn);

#endif
