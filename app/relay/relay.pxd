# C types of relay.py, for the compiled build (setup.py).

from app.protocol.session cimport Session
from app.relay.browser cimport BrowserEnd
from app.relay.upstream cimport UpstreamEnd
from app.telemetry.latency cimport Latency

cdef class Relay:
    cdef public object conversation
    cdef public object call_type
    cdef public double window
    cdef public Session session
    cdef public object books
    cdef public BrowserEnd browser
    cdef public double heard_at
    cdef Latency _from_browser
    cdef Latency _from_upstream
    cdef public UpstreamEnd upstream
    cdef object _tools
    cdef object _timers
    cdef object _helpers
    cdef object _limits
    cdef public bint listening
    cdef public double epoch
    cdef public object attempt
    cdef object _call
    cdef public bint over
    cdef object _group
    cdef object _ended
    cdef public object wished
    cdef object _message
    cdef object _retry_after
    cdef object _verified
    cdef object _initializing
    cdef bint _slow_browser
    cdef bint _gone

    cpdef heard_upstream(self, double arrived, Py_ssize_t count)
    cpdef heard_browser(self, double arrived, Py_ssize_t count)
