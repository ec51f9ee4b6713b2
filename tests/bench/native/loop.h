/* One epoll loop for both ends: the browsers in front of a relay and the vendor behind it. */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum role { LISTENER, VENDOR, BROWSER, CLOCK, COMMANDS };
enum state { CONNECTING, UPGRADING, GREETING, OPEN, CLOSING, GONE };

struct conn {
    enum role role;
    enum state state;
    int fd;
    unsigned char *rest; /* the beginning of what has not come whole */
    size_t rest_length, rest_room;
    unsigned char *out; /* what the kernel did not take yet */
    size_t out_length, out_room;

    /* of browsers */
    uint32_t id, sequence;
    int slot;
    int awaited; /* replies still to come */
    bool deflate;
    uint64_t sent_at, received, confirmed, confirmed_at;
    unsigned char mask[4];
    void *inflater;

    struct conn *next_dead;
};

uint64_t now_ns(void);

void loop_start(void);
struct conn *loop_add(enum role role, int fd, bool wait_writable);
void loop_forget(struct conn *conn); /* closes the descriptor; freed after this turn */
void loop_mute(struct conn *conn);   /* take it out of the loop, and back in */
void loop_hear(struct conn *conn);
/* Turn until `done` or the deadline (in ns of now_ns; 0 is never). Returns whether it was done. */
bool loop_until(bool (*done)(void), uint64_t deadline);

void conn_send(struct conn *conn, const unsigned char *bytes, size_t length);

/* Say what is wrong, once for the first few: the harness stops on it. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t complaints(void);
void forgive(void); /* start counting anew */

/* By role. They take what they can of the bytes and return how much that was. */
size_t vendor_bytes(struct conn *conn, unsigned char *bytes, size_t count);
size_t browser_bytes(struct conn *conn, unsigned char *bytes, size_t count);
void vendor_accept(struct conn *listener);
void vendor_gone(struct conn *conn);
void browser_connected(struct conn *conn);
void browser_gone(struct conn *conn);
void clock_ticked(struct conn *conn);
void command_ready(struct conn *conn);

#endif
