# C types of masking.py, for the compiled build (setup.py).

cimport cython

cdef Py_ssize_t _POOL

cdef class MaskKeys:
    cdef bytes _pool
    cdef Py_ssize_t _at

    @cython.locals(at=Py_ssize_t)
    cpdef bytes take(self)
