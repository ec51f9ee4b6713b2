# C types of replay.py, for the compiled build (setup.py).

cimport cython

cdef class ReplayBuffer:
    cdef object _kept
    cdef object _limit
    cdef public Py_ssize_t confirmed
    cdef public Py_ssize_t count
    cdef public bint full
    cdef public Py_ssize_t sent
    cdef public Py_ssize_t size

    @cython.locals(size=Py_ssize_t)
    cpdef keep(self, bytes payload)
