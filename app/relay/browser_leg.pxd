# C types of browser_leg.py, for the compiled build (setup.py).

from app.protocol.session cimport Session
from app.protocol.replay_buffer cimport ReplayBuffer

cdef class BrowserLeg:
    cdef public object text_received
    cdef public object binary_received
    cdef public object read_complete
    cdef public object slow_timer
    cdef object _received
    cdef object _scope
    cdef Session _session
    cdef object _events
    cdef object _observer
    cdef object _session_id
    cdef ReplayBuffer _outgoing
    cdef Py_ssize_t _outbox
    cdef double _slow_reader_timeout
    cdef object _socket
    cdef bint _was_connected
    cdef bint _is_gone
    cdef bint _is_held
    cdef object _kept
    cdef object _close_reason
    cdef object _close_acknowledged

    cpdef send(self, bytes payload)
