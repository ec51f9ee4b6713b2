#define _GNU_SOURCE
#include "vendor.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "speech.h"
#include "wire.h"

/* Nothing but these: a relay that does not hand on the key, or its browser's path, is told so. */
#define DEV_PATH "GET /api/v1/ws/dev?authorization=bench-key HTTP/1.1\r\n"
#define PLAIN_PATH "GET /ws/bench HTTP/1.1\r\n"
#define LONGEST_HANDSHAKE 8192
#define MOST_ANSWERS 64

static int sessions;

uint16_t vendor_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        perror("listen");
        exit(1);
    }
    loop_add(LISTENER, fd, false);
    return ntohs(address.sin_port);
}

int vendor_sessions(void)
{
    return sessions;
}

void vendor_accept(struct conn *listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        loop_add(VENDOR, fd, false)->state = UPGRADING;
        sessions++;
    }
}

void vendor_gone(struct conn *conn)
{
    if (conn->state != GONE)
        sessions--;
    loop_forget(conn);
}

static size_t upgrade(struct conn *conn, unsigned char *bytes, size_t count)
{
    char text[LONGEST_HANDSHAKE + 1], accept[29], answer[256];
    unsigned char *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t length = (size_t)(end - bytes) + 4;
    if (length > LONGEST_HANDSHAKE) {
        complain("vendor: a handshake of %zu bytes", length);
        vendor_gone(conn);
        return length;
    }
    memcpy(text, bytes, length);
    text[length] = 0;
    char *key = strcasestr(text, "\r\nsec-websocket-key:");
    if (!key || (strncmp(text, DEV_PATH, LENGTH(DEV_PATH)) != 0 &&
                 strncmp(text, PLAIN_PATH, LENGTH(PLAIN_PATH)) != 0)) {
        complain("vendor: refused %.80s", text);
        vendor_gone(conn);
        return length;
    }
    key += 20;
    key += strspn(key, " ");
    accept_key(key, accept);
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                        accept);
    conn->state = GREETING;
    conn_send(conn, (unsigned char *)answer, (size_t)size);
    return length;
}

static void say(struct conn *conn, int opcode, const void *payload, size_t length)
{
    unsigned char out[LONGEST_HEADER + 512];
    if (length > 512)
        length = 512;
    size_t header = frame_header(out, opcode, false, length, NULL);
    memcpy(out + header, payload, length);
    conn_send(conn, out, header + length);
}

static void hang_up(struct conn *conn)
{
    if (conn->state != CLOSING)
        say(conn, OP_CLOSE, "\x03\xe8", 2);
    conn->state = CLOSING;
}

/* The content begins with how many answers it asks for; all of them go out in one write. */
static void answer(struct conn *conn, const struct frame *ask)
{
    static unsigned char out[MOST_ANSWERS * (LONGEST_HEADER + LONGEST_ENVELOPE + 4200)];
    const unsigned char *content = ask->payload + ask_length;
    const unsigned char *tail = content + filling;
    size_t tail_length = ask->length - ask_length - filling - ask_end_length;
    size_t length = answer_length + tail_length + answer_end_length;
    unsigned answers = (unsigned)(content[0] - '0') * 10 + (unsigned)(content[1] - '0');
    size_t at = 0;
    if (!answers || answers > MOST_ANSWERS || answers * (length + LONGEST_HEADER) > sizeof out) {
        complain("vendor: asked for %u answers of %zu bytes", answers, length);
        return;
    }
    for (unsigned i = 0; i < answers; i++) {
        at += frame_header(out + at, OP_TEXT, false, length, NULL);
        memcpy(out + at, kind->answer, answer_length);
        at += answer_length;
        memcpy(out + at, tail, tail_length);
        out[at + 18] = (unsigned char)('0' + i / 10);
        out[at + 19] = (unsigned char)('0' + i % 10);
        at += tail_length;
        memcpy(out + at, kind->answer_end, answer_end_length);
        at += answer_end_length;
    }
    conn_send(conn, out, at);
}

static bool begins(const struct frame *frame, const char *text)
{
    size_t length = strlen(text);
    return frame->length >= length && memcmp(frame->payload, text, length) == 0;
}

static void hear(struct conn *conn, const struct frame *frame)
{
    if (begins(frame, kind->ask) && conn->state == OPEN && frame->length >= shortest_message() &&
        memcmp(frame->payload + frame->length - ask_end_length, kind->ask_end, ask_end_length) ==
            0) {
        answer(conn, frame);
    } else if (memmem(frame->payload, frame->length, "\"initialize\"", 12)) {
        if (conn->state != GREETING)
            complain("vendor: a second initialize");
        conn->state = OPEN;
        say(conn, OP_TEXT, GREETING_FRAME, LENGTH(GREETING_FRAME));
    } else if (memmem(frame->payload, frame->length, "\"terminate\"", 11)) {
        hang_up(conn);
    } else if (conn->state != CLOSING) {
        complain("vendor: cannot understand %.*s", (int)(frame->length > 160 ? 160 : frame->length),
                 frame->payload);
    }
}

size_t vendor_bytes(struct conn *conn, unsigned char *bytes, size_t count)
{
    size_t taken = 0;
    struct frame frame;
    int found = 0;
    if (conn->state == UPGRADING && !(taken = upgrade(conn, bytes, count)))
        return 0;
    while (conn->state != GONE &&
           (found = frame_parse(bytes + taken, count - taken, &frame)) > 0) {
        taken += frame.total;
        if (!frame.masked || frame.deflated)
            complain("vendor: a frame that a client may not send here");
        else if (frame.opcode == OP_TEXT)
            hear(conn, &frame);
        else if (frame.opcode == OP_PING)
            say(conn, OP_PONG, frame.payload, frame.length);
        else if (frame.opcode == OP_CLOSE) {
            hang_up(conn);
            vendor_gone(conn);
        }
    }
    if (found < 0) {
        complain("vendor: not a frame");
        vendor_gone(conn);
    }
    return taken;
}
