# C types of server_connection.py, for the compiled build (setup.py).

cimport cython
from app.websocket.connection cimport Connection
from app.websocket.frames cimport header
from app.websocket.pass_through cimport PassThrough

cdef class ServerConnection(Connection):
    cdef object _connections
    cdef PassThrough _pass_through

    @cython.locals(pass_through=PassThrough)
    cpdef send_text(self, bytes payload)
    cpdef write_forwarded(self, bytes frames)
    cpdef flush(self)
    cdef _end_forward(self)
