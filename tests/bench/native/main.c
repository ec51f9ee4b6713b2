/* Echo upstream and load generator in one process on one core, told what to do on its stdin.
 *
 *     listen COUNT                                 -> ok port=P port=P …
 *     target PORT PATH HEADER CREDENTIALS DEFLATE CONFIRM   ("-" for none; "|" is a blank in the
 *         header, "%" a line of the file CREDENTIALS, another one for each session)
 *     kind NUMBER                                  -> ok name=…   (of frames, until the next one)
 *     open COUNT ABREAST DEADLINE_MS               -> ok open=N ns=T
 *     saturate SIZE ANSWERS DURATION_MS DEADLINE_MS -> ok asked=N answered=N ns=T
 *     pace SIZE COUNT HERTZ PROBE DURATION_MS DEADLINE_MS -> ok count= late= p50= p90= p99= max=
 *     storm COUNT ABREAST SIZE LIVE HERTZ DEADLINE_MS     -> the same, and ns=T
 *     close KEEP DEADLINE_MS                       -> ok dropped=N
 *     upstreams COUNT DEADLINE_MS                  -> ok open=N    (waits until there are COUNT)
 *
 * What goes wrong is told on stderr, and the order's answer is then `failed`. End of input ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "browser.h"
#include "inflate.h"
#include "loop.h"
#include "speech.h"
#include "vendor.h"

#define MS 1000000u

static struct target target;
static bool input_ended;
static char order[8192];
static int upstreams_wanted;

static bool upstreams_right(void)
{
    return vendor_sessions() == upstreams_wanted;
}

static uint64_t in_ms(unsigned long ms)
{
    return now_ns() + (uint64_t)ms * MS;
}

static void verdict(bool fine)
{
    fputs(fine && !complaints() ? "ok" : "failed", stdout);
}

static void read_credentials(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[4096];
    for (int i = 0; i < target.credential_count; i++)
        free(target.credentials[i]);
    target.credential_count = 0;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        target.credentials =
            realloc(target.credentials, (size_t)(target.credential_count + 1) * sizeof(char *));
        target.credentials[target.credential_count++] = strdup(line);
    }
    if (file)
        fclose(file);
    else
        complain("no credentials in %s", path);
}

static bool use_target(const char *line)
{
    char header[256], credentials[1024];
    int deflate, confirm;
    unsigned port;
    if (sscanf(line, "target %u %127s %255s %1023s %d %d", &port, target.path, header, credentials,
               &deflate, &confirm) != 6)
        return false;
    target.port = (uint16_t)port;
    target.deflate = deflate;
    target.confirm = confirm;
    target.chooses = strstr(header, "Protocol") != NULL;
    for (char *c = header; *c; c++)
        if (*c == '|') /* stands for a blank, so that words stay words */
            *c = ' ';
    snprintf(target.headers, sizeof target.headers, strcmp(header, "-") ? "%s\r\n" : "", header);
    if (strcmp(credentials, "-") != 0)
        read_credentials(credentials);
    if (deflate && !inflate_available())
        complain("built without zlib's headers (Debian: zlib1g-dev): no compression");
    browsers_use(&target);
    return true;
}

static void tell(const struct delays *d)
{
    printf(" count=%llu late=%llu p50=%llu p90=%llu p99=%llu max=%llu",
           (unsigned long long)d->count, (unsigned long long)d->late, (unsigned long long)d->p50,
           (unsigned long long)d->p90, (unsigned long long)d->p99, (unsigned long long)d->most);
}

static void run(const char *line)
{
    unsigned long size, count, ms, hertz, probe, live, abreast, deadline;
    uint64_t start = now_ns();
    if (sscanf(line, "listen %lu", &count) == 1) {
        fputs("ok", stdout);
        while (count--)
            printf(" port=%u", vendor_listen());
    } else if (use_target(line)) {
        verdict(true);
    } else if (sscanf(line, "kind %lu", &count) == 1 && speech_use((unsigned)count)) {
        printf("ok name=%s", kind->name);
    } else if (sscanf(line, "open %lu %lu %lu", &count, &hertz, &deadline) == 3) {
        verdict(browsers_add((int)count, (int)hertz, in_ms(deadline)));
        printf(" open=%d ns=%llu", browsers_open(), (unsigned long long)(now_ns() - start));
    } else if (sscanf(line, "saturate %lu %lu %lu %lu", &size, &count, &ms, &deadline) == 4 &&
               size >= shortest_message() && size <= LONGEST_MESSAGE) {
        struct tally tally = {0};
        verdict(browsers_saturate(size, (unsigned)count, ms * MS, in_ms(deadline), &tally));
        printf(" asked=%llu answered=%llu ns=%llu", (unsigned long long)tally.asked,
               (unsigned long long)tally.answered, (unsigned long long)tally.elapsed_ns);
    } else if (sscanf(line, "pace %lu %lu %lu %lu %lu %lu", &size, &count, &hertz, &probe, &ms,
                      &deadline) == 6 &&
               size >= shortest_message() && size <= LONGEST_MESSAGE && count && hertz) {
        struct delays d = {0};
        verdict(browsers_pace(size, (int)count, (int)hertz, (unsigned)probe, ms * MS,
                              in_ms(deadline), &d));
        tell(&d);
    } else if (sscanf(line, "storm %lu %lu %lu %lu %lu %lu", &count, &abreast, &size, &live,
                      &hertz, &deadline) == 6 &&
               size >= shortest_message() && size <= LONGEST_MESSAGE && live && hertz) {
        struct delays d = {0};
        verdict(browsers_storm((int)count, (int)abreast, size, (int)live, (int)hertz,
                               in_ms(deadline), &d));
        tell(&d);
        printf(" ns=%llu", (unsigned long long)(now_ns() - start));
    } else if (sscanf(line, "close %lu %lu", &count, &deadline) == 2) {
        int dropped = browsers_close((int)count, in_ms(deadline));
        verdict(true);
        printf(" dropped=%d", dropped);
    } else if (sscanf(line, "upstreams %lu %lu", &count, &deadline) == 2) {
        upstreams_wanted = (int)count;
        verdict(loop_until(upstreams_right, in_ms(deadline)));
        printf(" open=%d", vendor_sessions());
    } else {
        fputs("failed", stdout);
        complain("unknown command: %.60s", line);
    }
    putchar('\n');
    fflush(stdout);
}

void command_ready(struct conn *conn)
{
    ssize_t length = read(conn->fd, order, sizeof order - 1); /* they come one at a time */
    input_ended = length <= 0;
    order[input_ended ? 0 : length] = 0;
}

static bool spoken_to(void)
{
    return input_ended || *order;
}

int main(void)
{
    speech_start();
    loop_start();
    struct conn *orders = loop_add(COMMANDS, STDIN_FILENO, false);
    while (loop_until(spoken_to, 0) && !input_ended) {
        loop_mute(orders); /* the next one waits until this one is done */
        forgive();
        run(order);
        *order = 0;
        loop_hear(orders);
    }
    return 0;
}
