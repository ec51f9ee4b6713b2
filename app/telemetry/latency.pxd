# C types of latency.py, for the compiled build (setup.py).

cimport cython

cdef class Latency:
    cdef list _counts
    cdef public Py_ssize_t pending
    cdef readonly double total

    cpdef written(self, double seconds)
    cpdef observe(self, double seconds, Py_ssize_t frames)

cdef class BatchLatency:
    cdef Latency _from_browser
    cdef Latency _from_upstream

    @cython.locals(seconds=double)
    cpdef written(self, double began)
