# C types of browser.py, for the compiled build (setup.py).

cimport cython
from app.protocol.session cimport Session
from app.protocol.replay cimport ReplayBuffer

cdef class BrowserSocket:
    cdef public object socket
    cdef BrowserEnd _end
    cdef double _arrived
    cdef Py_ssize_t _count

    @cython.locals(end=BrowserEnd, at=double)
    cpdef text_received(self, bytes payload)
    cpdef batch_received(self)

cdef class BrowserEnd:
    cdef public object relay
    cdef public Session session
    cdef object _session_id
    cdef ReplayBuffer _outgoing
    cdef Py_ssize_t _outbox
    cdef double _patience
    cdef BrowserSocket _current
    cdef object _socket
    cdef bint _came
    cdef public object stalled
    cdef object _goodbye
    cdef object _heard

    cpdef send(self, bytes payload)
