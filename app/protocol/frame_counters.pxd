# C types of frame_counters.py, for the compiled build (setup.py).

cdef class DirectionCounters:
    cdef dict _frames
    cdef str _kind
    cdef Py_ssize_t _run
    cdef public unsigned long long size

    cpdef add(self, str kind, Py_ssize_t size)
    cdef _add_run(self)
