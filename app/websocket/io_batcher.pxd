# C types of io_batcher.py, for the compiled build (setup.py).

from app.websocket.masking cimport MaskKeys
from app.websocket.pass_through cimport PassThrough

cdef Py_ssize_t _MAX_READS
cdef Py_ssize_t _MAX_BYTES

cdef class IoBatcher:
    cdef public object timer_wheel
    cdef public MaskKeys masks
    cdef public PassThrough pass_through
    cdef public object written
    cdef list _corked
    cdef list _reads
    cdef Py_ssize_t _size
    cdef Py_ssize_t _count
    cdef bint _is_busy
    cdef bint _scheduled
    cdef double _started_at
    cdef object _loop
    cdef dict _logged

    cpdef schedule_flush(self, socket)
    cpdef enqueue_read(self, socket, bytes data)
    cpdef deliver_reads(self)
    cpdef _schedule_batch(self)
    cpdef _on_iteration_end(self)
    cdef _deliver(self, socket, bytes data)
    cdef _run_batch(self)
    cdef _write_corked(self)
