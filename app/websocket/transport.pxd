# C types of transport.py, for the compiled build (setup.py).

from app.websocket.io_batcher cimport IoBatcher

cdef int _TEXT
cdef Py_ssize_t _MANY

cdef class BufferedTransport:
    cdef list _cork
    cdef bint _heard
    cdef object _handler
    cdef bint _paused_writing
    cdef bint _reading
    cdef int _state
    cdef object _transport
    cdef IoBatcher _batcher

    cpdef send_text(self, bytes payload)
    cpdef flush(self)
    cpdef pause_reading(self)
    cpdef resume_reading(self)
    cpdef _unwritten(self)
    cpdef _frame(self, int opcode, bytes payload)
    cpdef _write(self, int opcode, bytes payload)
