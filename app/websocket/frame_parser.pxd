# C types of frame_parser.py, for the compiled build (setup.py).

cimport cython
from app.protocol.byte_checks cimport is_ascii, is_utf8
from app.websocket.pass_through cimport PassThrough

cdef bint _COMPILED
cdef int _FIN_TEXT
cdef unsigned long long _MAX_CONTROL

cdef class FrameParser:
    cdef public object handler
    cdef public object on_text
    cdef public bint stopped
    cdef PassThrough _pass_through
    cdef int _masked
    cdef unsigned long long _max_message
    cdef Py_ssize_t _max_fragments
    cdef bytearray _held
    cdef Py_ssize_t _need
    cdef int _opcode
    cdef list _parts
    cdef object _decoder
    cdef Py_ssize_t _fragments
    cdef unsigned long long _size

    @cython.locals(
        octets="const unsigned char *",
        held=bytearray,
        position=Py_ssize_t,
        end=Py_ssize_t,
        non_minimal_at=Py_ssize_t,
        masked=int,
        pass_through=PassThrough,
        max_message="unsigned long long",
        start=Py_ssize_t,
        body=Py_ssize_t,
        stop=Py_ssize_t,
        head=int,
        size="unsigned long long",
        payload=bytes,
    )
    cpdef feed(self, bytes data)
    cpdef stop(self)
    cdef _hold(self, bytes data, Py_ssize_t position, Py_ssize_t need)
    @cython.locals(opcode=int)
    cdef _check(self, int head, unsigned long long size)
