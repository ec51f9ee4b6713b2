# C types of frame_counters.py, for the compiled build (setup.py).

cdef class DirectionCounters:
    cdef public dict frames
    cdef public unsigned long long size

    cpdef add(self, str kind, Py_ssize_t size)
