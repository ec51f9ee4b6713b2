# C types of queue.py, for the compiled build (setup.py).

cimport cython

cdef class RecordQueue:
    cdef public object dropped
    cdef public Py_ssize_t skipped
    cdef object _leaves
    cdef Py_ssize_t _limit
    cdef Py_ssize_t _size
    cdef object _queue
    cdef object _ends
    cdef set _owed
    cdef Py_ssize_t _bytes
    cdef Py_ssize_t _held
    cdef Py_ssize_t _held_bytes

    @cython.locals(size=Py_ssize_t)
    cpdef put(self, tuple record)
