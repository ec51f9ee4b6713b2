# C types of session.py, for the compiled build (setup.py).

cimport cython
from app.protocol.codec cimport decode, decode_strictly
from app.protocol.glance cimport is_plain_message, is_plain_text
from app.protocol.policy cimport judge, missing, response_id
from app.protocol.limits cimport TokenBucket
from app.protocol.replay cimport ReplayBuffer
from app.protocol.tally cimport Count as Counted

@cython.locals(known=frozenset)
cpdef bint enveloped(dict frame)

cdef class Session:
    cdef public object phase
    cdef public Py_ssize_t received
    cdef public unsigned long long size_received
    cdef public ReplayBuffer outgoing
    cdef public object calls
    cdef public object call
    cdef public object wish
    cdef public bint hung_up
    cdef object _id
    cdef object _profile
    cdef object _tools
    cdef TokenBucket _bucket
    cdef Counted _from_browser_tally
    cdef Counted _from_upstream_tally
    cdef bint _texts_shown
    cdef object _secrets
    cdef list _held
    cdef Py_ssize_t _held_bytes
    cdef Py_ssize_t _refusals
    cdef Py_ssize_t _malformed

    @cython.locals(frame=dict)
    cpdef from_browser(self, bytes payload, double now)
    cdef _from_browser(self, kind, dict frame, bytes payload, double now)
    @cython.locals(frame=dict)
    cpdef from_upstream(self, bytes payload, double now)
    cdef _from_upstream(self, kind, dict frame, bytes payload, double now)
