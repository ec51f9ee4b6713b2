# C types of dispatch.py, for the compiled build (setup.py).

from app.protocol.replay_buffer cimport ReplayBuffer
from app.relay.backpressure cimport Backpressure
from app.relay.browser_leg cimport BrowserLeg
from app.relay.frame_handlers cimport BrowserFrames, UpstreamFrames
from app.relay.upstream_leg cimport UpstreamLeg
from app.telemetry.latency cimport Latency

cdef class Dispatcher:
    cdef double _epoch
    cdef public double last_activity
    cdef public object pages
    cdef public object on_initialized
    cdef ReplayBuffer _outgoing
    cdef public BrowserFrames from_browser
    cdef public BrowserLeg browser
    cdef public UpstreamFrames from_upstream
    cdef public UpstreamLeg upstream
    cdef public Backpressure backpressure
    cdef public object tools
    cdef object _observer
    cdef object _events
    cdef object _deadlines
    cdef object _diagnostics
    cdef object _end
    cdef Latency _browser_latency
    cdef Latency _upstream_latency

    cpdef on_browser_read_complete(self, double arrived, Py_ssize_t count)
    cpdef on_upstream_read_complete(self, double arrived, Py_ssize_t count)
    cpdef apply(self, actions, bytes payload)
    cpdef _apply_one(self, action)
