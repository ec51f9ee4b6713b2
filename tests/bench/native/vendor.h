/* The echo upstream: as much of the vendor as makes a gateway treat its frames as real. */
#ifndef BENCH_VENDOR_H
#define BENCH_VENDOR_H

#include <stdint.h>

uint16_t vendor_listen(void); /* on loopback, any free port */
int vendor_sessions(void);    /* open now */

#endif
