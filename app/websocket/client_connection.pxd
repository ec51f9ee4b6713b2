# C types of client_connection.py, for the compiled build (setup.py).

from app.websocket.connection cimport Connection
from app.websocket.frames cimport masked_header

cdef class ClientConnection(Connection):
    pass
