# C types of browser_leg.py, for the compiled build (setup.py).

cimport cython
from app.protocol.session cimport Session
from app.protocol.replay_buffer cimport ReplayBuffer

cdef class BrowserSocketHandler:
    cdef public object socket
    cdef BrowserLeg _leg
    cdef double _arrived
    cdef Py_ssize_t _count

    @cython.locals(end=BrowserLeg, at=double)
    cpdef text_received(self, bytes payload)
    cpdef read_complete(self)

cdef class BrowserLeg:
    cdef public object relay
    cdef public Session session
    cdef object _session_id
    cdef ReplayBuffer _outgoing
    cdef Py_ssize_t _outbox
    cdef double _patience
    cdef BrowserSocketHandler _current
    cdef object _socket
    cdef bint _was_connected
    cdef object _events
    cdef public object slow_timer
    cdef object _close_reason
    cdef object _close_acknowledged

    cpdef send(self, bytes payload)
