#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 512
#define CHUNK (256 * 1024)

static int poller;
static struct conn *dead;
static uint64_t complained;
static unsigned char chunk[CHUNK];

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void complain(const char *format, ...)
{
    if (complained++ >= 5)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

uint64_t complaints(void)
{
    return complained;
}

void forgive(void)
{
    complained = 0;
}

void loop_start(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
}

static void watch(struct conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(poller, operation, conn->fd, &event) < 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

struct conn *loop_add(enum role role, int fd, bool wait_writable)
{
    struct conn *conn = calloc(1, sizeof *conn);
    conn->role = role;
    conn->fd = fd;
    watch(conn, EPOLL_CTL_ADD, wait_writable ? EPOLLOUT : EPOLLIN);
    return conn;
}

void loop_mute(struct conn *conn)
{
    watch(conn, EPOLL_CTL_DEL, 0);
}

void loop_hear(struct conn *conn)
{
    watch(conn, EPOLL_CTL_ADD, EPOLLIN);
}

void loop_forget(struct conn *conn)
{
    if (conn->state == GONE)
        return;
    conn->state = GONE;
    close(conn->fd);
    conn->next_dead = dead;
    dead = conn;
}

static void bury(void)
{
    while (dead) {
        struct conn *conn = dead;
        dead = conn->next_dead;
        free(conn->rest);
        free(conn->out);
        free(conn);
    }
}

static void gone(struct conn *conn)
{
    if (conn->role == BROWSER)
        browser_gone(conn);
    else
        vendor_gone(conn);
}

void conn_send(struct conn *conn, const unsigned char *bytes, size_t length)
{
    if (conn->state == GONE)
        return;
    if (!conn->out_length) {
        ssize_t sent = send(conn->fd, bytes, length, MSG_NOSIGNAL);
        if (sent == (ssize_t)length)
            return;
        if (sent < 0) {
            if (errno != EAGAIN)
                return; /* the next read tells */
            sent = 0;
        }
        bytes += sent;
        length -= (size_t)sent;
        watch(conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    if (conn->out_length + length > conn->out_room) {
        conn->out_room = conn->out_length + length + 4096;
        conn->out = realloc(conn->out, conn->out_room);
    }
    memcpy(conn->out + conn->out_length, bytes, length);
    conn->out_length += length;
}

static void writable(struct conn *conn)
{
    if (conn->role == BROWSER && conn->state == CONNECTING) {
        watch(conn, EPOLL_CTL_MOD, EPOLLIN);
        browser_connected(conn);
        return;
    }
    ssize_t sent = send(conn->fd, conn->out, conn->out_length, MSG_NOSIGNAL);
    if (sent <= 0)
        return;
    conn->out_length -= (size_t)sent;
    memmove(conn->out, conn->out + sent, conn->out_length);
    if (!conn->out_length)
        watch(conn, EPOLL_CTL_MOD, EPOLLIN);
}

static size_t take(struct conn *conn, unsigned char *bytes, size_t count)
{
    return conn->role == BROWSER ? browser_bytes(conn, bytes, count)
                                 : vendor_bytes(conn, bytes, count);
}

static void readable(struct conn *conn)
{
    unsigned char *bytes = chunk;
    size_t before = conn->rest_length;
    if (before) {
        if (conn->rest_room < before + CHUNK)
            conn->rest = realloc(conn->rest, conn->rest_room = before + CHUNK);
        bytes = conn->rest;
    }
    ssize_t got = recv(conn->fd, bytes + before, CHUNK, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            gone(conn);
        return;
    }
    size_t count = before + (size_t)got;
    size_t taken = take(conn, bytes, count);
    if (conn->state == GONE)
        return;
    size_t left = count - taken;
    if (!left) {
        if (before) {
            free(conn->rest);
            conn->rest = NULL;
            conn->rest_room = 0;
        }
    } else if (before) {
        memmove(conn->rest, conn->rest + taken, left);
    } else {
        conn->rest = malloc(conn->rest_room = left);
        memcpy(conn->rest, chunk + taken, left);
    }
    conn->rest_length = left;
}

static void dispatch(struct conn *conn, uint32_t events)
{
    switch (conn->role) {
    case LISTENER:
        vendor_accept(conn);
        return;
    case CLOCK:
        clock_ticked(conn);
        return;
    case COMMANDS:
        command_ready(conn);
        return;
    default:
        break;
    }
    if (conn->state != GONE && (events & EPOLLOUT))
        writable(conn);
    if (conn->state != GONE && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        readable(conn);
}

bool loop_until(bool (*done)(void), uint64_t deadline)
{
    struct epoll_event events[EVENTS];
    while (!done()) {
        if (deadline && now_ns() > deadline)
            return false;
        int count = epoll_wait(poller, events, EVENTS, deadline ? 50 : -1);
        for (int i = 0; i < count; i++)
            dispatch(events[i].data.ptr, events[i].events);
        bury();
    }
    return true;
}
