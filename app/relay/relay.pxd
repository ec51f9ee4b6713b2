# C types of relay.py, for the compiled build (setup.py).

from app.protocol.session cimport Session
from app.relay.browser_leg cimport BrowserLeg
from app.relay.upstream_leg cimport UpstreamLeg
from app.telemetry.latency cimport Latency

cdef class Relay:
    cdef public object conversation
    cdef public object pages
    cdef public object call_type
    cdef public double resume_window
    cdef public Session session
    cdef public object observer
    cdef public BrowserLeg browser
    cdef public double last_activity
    cdef Latency _from_browser
    cdef Latency _from_upstream
    cdef public UpstreamLeg upstream
    cdef object _tools
    cdef object _deadlines
    cdef object _dependencies
    cdef object _limits
    cdef public bint is_observed
    cdef public double epoch
    cdef public object attempt
    cdef object _diagnostics
    cdef public bint is_ending
    cdef public double ended_at
    cdef object _group
    cdef object _ended
    cdef public object first_frame
    cdef public object queue
    cdef object _message
    cdef object _retry_after
    cdef object _verified
    cdef object _initializing
    cdef bint _browser_write_paused
    cdef bint _resume_expired

    cpdef on_upstream_read_complete(self, double arrived, Py_ssize_t count)
    cpdef on_browser_read_complete(self, double arrived, Py_ssize_t count)
