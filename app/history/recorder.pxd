# C types of recorder.py, for the compiled build (setup.py).

cimport cython
from app.history.queue cimport RecordQueue

cdef class QueueRecorder:
    cdef object _ends
    cdef object _shown
    cdef bint _content
    cdef object _replica
    cdef object _composer
    cdef object _budget
    cdef dict _live
    cdef RecordQueue _queue
    cdef object _writer

    @cython.locals(size=Py_ssize_t)
    cpdef frame(self, session_id, direction, at, bytes payload)
