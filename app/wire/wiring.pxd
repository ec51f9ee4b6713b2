# C types of wiring.py, for the compiled build (setup.py).

from app.wire.masking cimport MaskKeys
from app.wire.origin cimport Origin

cdef Py_ssize_t _MANY
cdef Py_ssize_t _LARGE

cdef class Wiring:
    cdef public object wheel
    cdef public MaskKeys masks
    cdef public Origin origin
    cdef public object written
    cdef list _corked
    cdef list _read
    cdef Py_ssize_t _size
    cdef bint _due
    cdef double _began
    cdef object _loop
    cdef dict _said

    cpdef cork(self, socket)
    cpdef arrived(self, socket, bytes data)
    cpdef settle(self)
    cpdef _begin_turn(self)
    cpdef _end_turn(self)
    cdef _turn(self)
