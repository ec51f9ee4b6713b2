#define _GNU_SOURCE
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

/* The sample key of RFC 6455 §1.3, and what it is answered with. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define LONGEST_HEAD 8192

static struct conn **slots;
static int *used, abreast;
static uint32_t *next_id;
static const struct target *target;

void dial_start(struct conn **into, int *count, uint32_t *id, const struct target *to, int most)
{
    slots = into;
    used = count;
    next_id = id;
    target = to;
    abreast = most;
}

/* Browsers come from addresses of their own: 127.16.0.0/12 is loopback too. */
static void dial(int *pending)
{
    uint32_t id = (*next_id)++;
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f100000u | (id & 0xffffu))};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(target->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)) {
        perror("connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *conn = loop_add(BROWSER, fd, true);
    conn->state = CONNECTING;
    conn->id = id;
    conn->slot = (*used)++;
    slots[conn->slot] = conn;
    if (getrandom(conn->mask, sizeof conn->mask, 0) < 0)
        exit(1);
    ++*pending;
}

void dial_more(int *left, int *pending)
{
    while (*left && *pending < abreast) {
        --*left;
        dial(pending);
    }
}

void dial_connected(struct conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        complain("browser: connect: %s", strerror(error));
        browser_gone(conn);
        return;
    }
    static char request[8192];
    const char *gap = strchr(target->headers, '%');
    int before = gap ? (int)(gap - target->headers) : (int)strlen(target->headers);
    const char *credential = "";
    if (gap && target->credential_count)
        credential = target->credentials[conn->id % (uint32_t)target->credential_count];
    int length = snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nOrigin: http://127.0.0.1:%u\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " KEY "\r\n%s%.*s%s%s\r\n",
        target->path, target->port, target->port,
        target->deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                        : "",
        before, target->headers, credential, gap ? gap + 1 : "");
    conn->state = UPGRADING;
    conn_send(conn, (const unsigned char *)request, (size_t)length);
}

size_t dial_upgraded(struct conn *conn, unsigned char *bytes, size_t count)
{
    char head[LONGEST_HEAD + 1];
    unsigned char *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t length = (size_t)(end - bytes) + 4;
    size_t kept = length > LONGEST_HEAD ? LONGEST_HEAD : length;
    memcpy(head, bytes, kept);
    head[kept] = 0;
    bool chosen = strcasestr(head, "\r\nsec-websocket-protocol:") != NULL;
    if (strncmp(head, "HTTP/1.1 101 ", 13) != 0 || !strstr(head, ACCEPT) ||
        chosen != target->chooses) {
        complain("browser: not upgraded: %.*s", (int)(count > 400 ? 400 : count), bytes);
        browser_gone(conn);
        return length;
    }
    conn->deflate = strcasestr(head, "permessage-deflate") != NULL;
    if (conn->deflate != target->deflate)
        complain("browser: compression was %s", conn->deflate ? "not offered" : "not taken");
    conn->state = GREETING;
    return length;
}
