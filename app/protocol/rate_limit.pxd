# C types of rate_limit.py, for the compiled build (setup.py).

cimport cython

cdef class TokenBucket:
    cdef double _due
    cdef double _interval
    cdef double _tolerance

    @cython.locals(due=double)
    cpdef bint allows(self, double now)
