# C types of backpressure.py, for the compiled build (setup.py).

cimport cython
from app.protocol.replay_buffer cimport ReplayBuffer
from app.relay.browser_leg cimport BrowserLeg
from app.relay.upstream_leg cimport UpstreamLeg

@cython.locals(blocked=bint)
cpdef bint may_read_upstream(pages) except -1

cdef class Backpressure:
    cdef public bint browser_is_slow
    cdef public object pages
    cdef ReplayBuffer _outgoing
    cdef BrowserLeg _browser
    cdef UpstreamLeg _upstream

    cpdef acked(self)
