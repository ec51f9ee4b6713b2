#define _GNU_SOURCE
#include "browser.h"

#include <stdio.h>
#include <string.h>

#include "dial.h"
#include "inflate.h"
#include "loop.h"
#include "speech.h"
#include "wire.h"
#include "work.h"

/* When client.js confirms: after so many frames, so many bytes, or so long. */
#define CONFIRM_FRAMES 16
#define CONFIRM_BYTES (32 * 1024)
#define CONFIRM_AFTER 500000000u

struct work work;

void browser_say(struct conn *conn, int opcode, const unsigned char *payload, size_t length)
{
    static unsigned char out[LONGEST_HEADER + LONGEST_MESSAGE + 1024];
    static unsigned char small[LONGEST_MESSAGE + 1024];
    bool deflated = conn->deflate && opcode == OP_TEXT;
    if (deflated) {
        length = deflate_message(payload, length, small, sizeof small);
        payload = small;
    }
    size_t header = frame_header(out, opcode, deflated, length, conn->mask);
    memcpy(out + header, payload, length);
    apply_mask(out + header, length, conn->mask);
    conn_send(conn, out, header + length);
}

void browser_ask(struct conn *conn)
{
    static unsigned char text[LONGEST_MESSAGE];
    size_t at = ask_length;
    conn->sequence++;
    memcpy(text, kind->ask, at);
    memset(text + at, '-', filling);
    text[at] = (unsigned char)('0' + work.answers_asked / 10);
    text[at + 1] = (unsigned char)('0' + work.answers_asked % 10);
    at += filling;
    write_tag(text + at, conn->id, conn->sequence, 0);
    at += TAG_LENGTH;
    size_t left = work.message_size - at - ask_end_length;
    write_words(text + at, conn->id * 31 + conn->sequence, left);
    memcpy(text + at + left, kind->ask_end, ask_end_length);
    conn->awaited = (int)work.answers_asked;
    work.outstanding++;
    work.asked++;
    if (work.pacing)
        conn->sent_at = now_ns();
    browser_say(conn, OP_TEXT, text, work.message_size);
}

void browser_confirm(struct conn *conn, bool at_once)
{
    uint64_t open = conn->received - conn->confirmed, now = now_ns();
    if (!open || (!at_once && open < CONFIRM_FRAMES &&
                  open * work.message_size < CONFIRM_BYTES &&
                  now - conn->confirmed_at < CONFIRM_AFTER))
        return;
    char text[64];
    int length = snprintf(text, sizeof text, "{\"type\":\"relay.received\",\"count\":%llu}",
                          (unsigned long long)conn->received);
    conn->confirmed = conn->received;
    conn->confirmed_at = now;
    browser_say(conn, OP_TEXT, (unsigned char *)text, (size_t)length);
}

static bool is_answer(const struct conn *conn, const unsigned char *text, size_t length)
{
    unsigned char tag[TAG_LENGTH];
    size_t left = work.message_size - shortest_message(), at = answer_length + TAG_LENGTH;
    if (length != at + left + answer_end_length || conn->awaited <= 0)
        return false;
    write_tag(tag, conn->id, conn->sequence, work.answers_asked - (unsigned)conn->awaited);
    return memcmp(text, kind->answer, answer_length) == 0 &&
           memcmp(text + answer_length, tag, TAG_LENGTH) == 0 &&
           are_words(text + at, conn->id * 31 + conn->sequence, left) &&
           memcmp(text + at + left, kind->answer_end, answer_end_length) == 0;
}

static bool holds(const unsigned char *text, size_t length, const char *what)
{
    return memmem(text, length, what, strlen(what)) != NULL;
}

static void greet(struct conn *conn, const unsigned char *text, size_t length)
{
    if (holds(text, length, "\"name\":\"connection\"")) {
        conn->state = OPEN;
        work.opened++;
        work.pending--;
        dial_more(&work.to_open, &work.pending);
    } else if (!holds(text, length, "\"name\":\"relay.")) {
        complain("browser: not a greeting: %.*s", (int)(length > 200 ? 200 : length), text);
    }
}

static void hear(struct conn *conn, const unsigned char *text, size_t length)
{
    if (conn->state == OPEN && is_answer(conn, text, length)) {
        work.answered++;
        conn->received++;
        if (--conn->awaited)
            return;
        work.outstanding--;
        if (work.target->confirm)
            browser_confirm(conn, false);
        if (work.pacing)
            work_sampled(conn);
        else if (work.asking)
            browser_ask(conn);
        return;
    }
    if (conn->state == CLOSING)
        return;
    bool own = holds(text, length > 64 ? 64 : length, "\"relay.");
    conn->received += !own;
    if (conn->state == GREETING)
        greet(conn, text, length);
    else if (!own)
        complain("browser: not the answer to message %u: %.*s", conn->sequence,
                 (int)(length > 200 ? 200 : length), text);
}

static void frame_came(struct conn *conn, struct frame *frame)
{
    static unsigned char large[LONGEST_MESSAGE + 1024];
    if (frame->masked || (frame->deflated && !conn->deflate)) {
        complain("browser: a frame that a server may not send here");
    } else if (frame->opcode == OP_TEXT) {
        if (frame->deflated) {
            frame->length = inflate_message(&conn->inflater, frame->payload, frame->length, large,
                                            sizeof large);
            frame->payload = large;
        }
        hear(conn, frame->payload, frame->length);
    } else if (frame->opcode == OP_PING) {
        browser_say(conn, OP_PONG, frame->payload, frame->length);
    } else if (frame->opcode == OP_CLOSE) {
        if (conn->state != CLOSING)
            browser_say(conn, OP_CLOSE, frame->payload, frame->length > 2 ? 2 : frame->length);
        browser_gone(conn);
    }
}

size_t browser_bytes(struct conn *conn, unsigned char *bytes, size_t count)
{
    size_t taken = 0;
    struct frame frame;
    int found = 0;
    if (conn->state == UPGRADING) {
        if (!(taken = dial_upgraded(conn, bytes, count)))
            return 0;
        if (conn->state == GREETING)
            browser_say(conn, OP_TEXT, (const unsigned char *)INITIALIZE, LENGTH(INITIALIZE));
    }
    while (conn->state != GONE &&
           (found = frame_parse(bytes + taken, count - taken, &frame)) > 0) {
        taken += frame.total;
        frame_came(conn, &frame);
    }
    if (found < 0) {
        complain("browser: not a frame");
        browser_gone(conn);
    }
    return taken;
}

void browser_connected(struct conn *conn)
{
    dial_connected(conn);
}

void browser_gone(struct conn *conn)
{
    if (conn->state == GONE)
        return;
    if (conn->state == OPEN || conn->state == CLOSING)
        work.opened--;
    else
        work.pending--;
    if (conn->state != CLOSING)
        complain("browser: session %u was ended by the relay while it was %s", conn->id,
                 conn->state == OPEN ? "open" : "set up");
    if (conn->awaited > 0)
        work.outstanding--;
    inflate_forget(conn->inflater);
    work.browsers[conn->slot] = NULL;
    loop_forget(conn);
}
