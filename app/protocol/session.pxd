# C types of session.py, for the compiled build (setup.py).

cimport cython
from app.protocol.codec cimport decode, decode_strictly
from app.protocol.disclosure cimport Disclosure
from app.protocol.documented cimport has_known_members
from app.protocol.fast_path cimport acked_count, is_simple_message, simple_type
from app.protocol.validation cimport validate, missing_members, response_id
from app.protocol.rate_limit cimport TokenBucket
from app.protocol.replay_buffer cimport ReplayBuffer
from app.protocol.frame_counters cimport DirectionCounters

cdef int _TEXT

cdef class Session:
    cdef public object phase
    cdef public Py_ssize_t received
    cdef public unsigned long long size_received
    cdef public ReplayBuffer outgoing
    cdef public object calls
    cdef public object call
    cdef public object client_initialize
    cdef public bint hung_up
    cdef object _id
    cdef object _profile
    cdef object _tools
    cdef TokenBucket _bucket
    cdef DirectionCounters _from_browser_counters
    cdef DirectionCounters _from_upstream_counters
    cdef bint _texts_shown
    cdef bint _takes_fast_path
    cdef unsigned int _types_shown
    cdef object _hidden_echo
    cdef public object takeover
    cdef object _secrets
    cdef Disclosure _disclosure
    cdef object _early_frames
    cdef object _violations
    cdef object _failure

    @cython.locals(count="long long")
    cdef _from_browser_unparsed(self, bytes payload, double now)
    @cython.locals(frame=dict)
    cpdef from_browser(self, bytes payload, double now)
    @cython.locals(before=Py_ssize_t)
    cdef _take_ack(self, count, double now)
    cdef _from_browser(self, kind, dict frame, bytes payload, double now)
    @cython.locals(frame=dict)
    cpdef from_upstream(self, bytes payload, double now)
    @cython.locals(kind=int)
    cdef bint _is_shown_unparsed(self, bytes payload) except -1
    cdef _from_upstream(self, kind, dict frame, bytes payload, double now)
