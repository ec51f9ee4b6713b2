# C types of replay_buffer.py, for the compiled build (setup.py).

cimport cython

cdef class ReplayBuffer:
    cdef object _frames
    cdef object _limit
    cdef public Py_ssize_t acked
    cdef public Py_ssize_t count
    cdef public bint is_full
    cdef public Py_ssize_t sent
    cdef public Py_ssize_t size

    @cython.locals(size=Py_ssize_t)
    cpdef append(self, bytes payload)
