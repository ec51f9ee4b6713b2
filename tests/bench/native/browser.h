/* The browsers: they speak to every relay in the same words, and check every byte of every answer. */
#ifndef BENCH_BROWSER_H
#define BENCH_BROWSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target {
    uint16_t port;
    char path[128];
    char headers[512]; /* whole lines; "%" stands for the session's credential */
    char **credentials; /* each session has one of its own, until they run out */
    int credential_count;
    bool chooses; /* a subprotocol is among the headers: the relay has to choose it */
    bool deflate; /* offer permessage-deflate, as every browser does */
    bool confirm; /* confirm what was received now and then, as the resume protocol asks */
};

struct tally {
    uint64_t asked, answered, elapsed_ns;
};

struct delays {
    uint64_t count, late, p50, p90, p99, most; /* ns, round trip */
};

void browsers_use(const struct target *target);
int browsers_open(void);
/* Open `count` more, at most `abreast` handshakes at once. False: not all of them by the deadline. */
bool browsers_add(int count, int abreast, uint64_t deadline);
/* Each keeps one message outstanding for `duration_ns`, then all answers are awaited. A duration
 * of 0 is one message each. False: answers are missing at the deadline. */
bool browsers_saturate(size_t size, unsigned answers, uint64_t duration_ns, uint64_t deadline,
                       struct tally *tally);
/* The first `count` send `hertz` messages a second each, evenly staggered. With a `probe` the very
 * first sends at each so many of their messages instead, and its delays alone are taken. */
bool browsers_pace(size_t size, int count, int hertz, unsigned probe, uint64_t duration_ns,
                   uint64_t deadline, struct delays *delays);
/* Open `count` more, `abreast` at once, while the first `live` send as in browsers_pace. */
bool browsers_storm(int count, int abreast, size_t size, int live, int hertz, uint64_t deadline,
                    struct delays *delays);
/* Say goodbye properly; who is not gone at the deadline is dropped, and counted. Keeps `keep`. */
int browsers_close(int keep, uint64_t deadline);

#endif
