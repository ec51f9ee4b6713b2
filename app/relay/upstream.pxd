# C types of upstream.py, for the compiled build (setup.py).

cimport cython
from app.protocol.session cimport Session
from app.relay.browser cimport BrowserEnd

cdef class UpstreamEnd:
    cdef public bint slow
    cdef object _relay
    cdef Session _session
    cdef BrowserEnd _browser
    cdef object _socket
    cdef object _gone
    cdef double _arrived
    cdef double _at
    cdef Py_ssize_t _count
    cdef bint _paused

    cpdef send(self, bytes payload)
    cpdef text_received(self, bytes payload)
    cpdef batch_received(self)
