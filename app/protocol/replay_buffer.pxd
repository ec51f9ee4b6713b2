# C types of replay_buffer.py, for the compiled build (setup.py).

cimport cython

cdef Py_ssize_t _NOTHING_HELD, _MANY

cdef class ReplayBuffer:
    cdef list _frames
    cdef Py_ssize_t _first
    cdef Py_ssize_t _limit
    cdef public Py_ssize_t acked
    cdef public Py_ssize_t count
    cdef public bint is_full
    cdef public Py_ssize_t sent
    cdef public Py_ssize_t size

    @cython.locals(size=Py_ssize_t)
    cpdef append(self, bytes payload)
    cpdef evict(self)
    @cython.locals(held=Py_ssize_t, acked=Py_ssize_t)
    cpdef bint ack(self, count) except -1
    cdef _drop(self)
    cdef _cut(self)
