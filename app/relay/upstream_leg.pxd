# C types of upstream_leg.py, for the compiled build (setup.py).

cimport cython
from app.protocol.session cimport Session
from app.relay.browser_leg cimport BrowserLeg

cdef class UpstreamLeg:
    cdef public bint write_paused
    cdef object _relay
    cdef Session _session
    cdef BrowserLeg _browser
    cdef object _socket
    cdef object _disconnected
    cdef double _arrived
    cdef double _at
    cdef Py_ssize_t _count
    cdef bint _paused

    cpdef send(self, bytes payload)
    cpdef text_received(self, bytes payload)
    cpdef read_complete(self)
