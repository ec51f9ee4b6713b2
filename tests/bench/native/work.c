/* What the browsers are told to do, one order at a time. */
#include "work.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "dial.h"
#include "loop.h"
#include "speech.h"
#include "wire.h"

static uint64_t stop_at, ticks_left, late;
static uint64_t *samples, sample_count, sample_room;
static int known, keeping, paced, turn;
static unsigned every, ticks; /* each so many ticks the first browser asks, which alone is sampled */
static uint32_t next_id;

int browsers_open(void)
{
    return work.opened;
}

void browsers_use(const struct target *chosen)
{
    work.target = chosen;
}

void work_sampled(const struct conn *conn)
{
    if (every && conn->slot)
        return;
    if (sample_count == sample_room)
        samples = realloc(samples, (sample_room += 65536) * sizeof *samples);
    samples[sample_count++] = now_ns() - conn->sent_at;
}


static bool all_opened(void)
{
    return complaints() || (!work.pending && !work.to_open);
}

bool browsers_add(int count, int abreast, uint64_t deadline)
{
    int before = known;
    work.to_open = count;
    if (known + count > MOST_BROWSERS) {
        complain("browser: more than %d sessions", MOST_BROWSERS);
        return false;
    }
    dial_start(work.browsers, &known, &next_id, work.target, abreast);
    dial_more(&work.to_open, &work.pending);
    bool done = loop_until(all_opened, deadline);
    return done && known == before + count && work.opened == known;
}

static bool drained(void)
{
    if (work.asking && now_ns() >= stop_at)
        work.asking = false;
    return complaints() || (!work.asking && !work.outstanding);
}

bool browsers_saturate(size_t size, unsigned replies, uint64_t duration, uint64_t deadline,
                       struct tally *tally)
{
    uint64_t start = now_ns();
    work.message_size = size;
    work.answers_asked = replies;
    work.asked = work.answered = work.outstanding = 0;
    stop_at = start + duration;
    work.asking = duration > 0;
    for (int i = 0; i < known; i++)
        if (work.browsers[i])
            browser_ask(work.browsers[i]);
    bool done = loop_until(drained, deadline);
    work.asking = false;
    *tally = (struct tally){work.asked, work.answered, now_ns() - start};
    for (int i = 0; i < known && work.target->confirm; i++)
        if (work.browsers[i]) /* as client.js does once it has been quiet for a while */
            browser_confirm(work.browsers[i], true);
    return done && work.answered == work.asked * replies;
}

static void ask(struct conn *conn)
{
    if (conn && conn->awaited > 0)
        late++;
    else if (conn)
        browser_ask(conn);
}

void clock_ticked(struct conn *conn)
{
    uint64_t due = 0;
    if (read(conn->fd, &due, sizeof due) != sizeof due)
        return;
    for (; due && ticks_left; due--, ticks_left--) {
        ask(work.browsers[every ? 1 + turn++ % (paced - 1) : turn++ % paced]);
        if (every && ++ticks % every == 0)
            ask(work.browsers[0]);
    }
}

static bool paced_out(void)
{
    return complaints() || (!ticks_left && !work.outstanding);
}

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static struct conn *begin_pace(size_t size, int count, int hertz, unsigned probe, uint64_t ticks)
{
    uint64_t period = 1000000000u / ((uint64_t)count * (uint64_t)hertz);
    struct itimerspec interval = {.it_interval.tv_nsec = (long)period,
                                  .it_value.tv_nsec = (long)period};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct conn *ticker = loop_add(CLOCK, fd, false);
    work.message_size = size;
    work.answers_asked = 1;
    work.asked = work.answered = work.outstanding = late = sample_count = 0;
    ticks_left = ticks ? ticks : UINT64_MAX;
    paced = count < known ? count : known;
    every = paced > 1 ? probe : 0;
    turn = 0;
    work.pacing = true;
    timerfd_settime(fd, 0, &interval, NULL);
    return ticker;
}

static bool end_pace(struct conn *ticker, uint64_t deadline, struct delays *delays)
{
    bool done = loop_until(paced_out, deadline);
    work.pacing = false;
    loop_forget(ticker);
    if (!sample_count)
        return false;
    qsort(samples, sample_count, sizeof *samples, ascending);
    *delays = (struct delays){sample_count,
                              late,
                              samples[sample_count / 2],
                              samples[sample_count * 9 / 10],
                              samples[sample_count * 99 / 100],
                              samples[sample_count - 1]};
    return done;
}

bool browsers_pace(size_t size, int count, int hertz, unsigned probe, uint64_t duration,
                   uint64_t deadline, struct delays *delays)
{
    uint64_t period = 1000000000u / ((uint64_t)count * (uint64_t)hertz);
    return end_pace(begin_pace(size, count, hertz, probe, duration / period), deadline, delays);
}

bool browsers_storm(int count, int abreast, size_t size, int live, int hertz, uint64_t deadline,
                    struct delays *delays)
{
    struct conn *ticker = begin_pace(size, live, hertz, 0, 0);
    bool added = browsers_add(count, abreast, deadline);
    ticks_left = 0;
    return end_pace(ticker, deadline, delays) && added;
}

static bool down_to_keep(void)
{
    return work.opened <= keeping;
}

int browsers_close(int keep, uint64_t deadline)
{
    int dropped = 0;
    work.to_open = 0;
    keeping = keep;
    for (int i = keep; i < known; i++) {
        struct conn *conn = work.browsers[i];
        if (conn && conn->state == OPEN) {
            conn->state = CLOSING;
            browser_say(conn, OP_TEXT, (const unsigned char *)TERMINATE, LENGTH(TERMINATE));
            browser_say(conn, OP_CLOSE, (const unsigned char *)"\x03\xe8", 2);
        }
    }
    loop_until(down_to_keep, deadline);
    for (int i = keep; i < known; i++)
        if (work.browsers[i]) {
            browser_gone(work.browsers[i]);
            dropped++;
        }
    known = keep < known ? keep : known;
    return dropped;
}
