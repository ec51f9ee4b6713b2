# C types of frame_handlers.py, for the compiled build (setup.py).

cimport cython
from app.protocol.session cimport Session
from app.relay.browser_leg cimport BrowserLeg
from app.relay.upstream_leg cimport UpstreamLeg

cdef class BrowserFrames:
    cdef public double epoch
    cdef public bint is_ending
    cdef public bint is_observed
    cdef public object on_first_frame
    cdef public UpstreamLeg upstream
    cdef Session _session
    cdef object _observer
    cdef object _target
    cdef double _arrived
    cdef Py_ssize_t _count

    @cython.locals(at=double)
    cpdef text_received(self, bytes payload)
    cpdef read_complete(self)

cdef class UpstreamFrames:
    cdef public bint is_observed
    cdef BrowserLeg _browser
    cdef Session _session
    cdef object _observer
    cdef object _target
    cdef double _epoch
    cdef double _arrived
    cdef double _at
    cdef Py_ssize_t _count

    cpdef text_received(self, bytes payload)
    cpdef read_complete(self)
