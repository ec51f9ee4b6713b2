# C types of fast_path.py, for the compiled build (setup.py).

cimport cython
from app.protocol.byte_checks cimport is_well_written
from app.protocol.json_scanner cimport (
    after_colon,
    after_scalar,
    after_space,
    after_string,
    after_value,
    is_at,
)

cdef int _DEEPEST
cdef int _NOTHING, _TYPE, _TIMESTAMP, _CONTENT, _CONTENT_IS_TEXT, _WHOLE_MESSAGE
cdef bytes _TEXT, _MESSAGE, _ACKED
cdef Py_ssize_t _MOST_DIGITS
cdef int _NINE
cdef tuple _KEYS
cdef unsigned char _QUOTE, _COMMA, _OPENING_BRACE, _CLOSING_BRACE, _OPENING_BRACKET, _ZERO

cpdef bint is_simple_text(bytes payload)

cpdef bint is_simple_message(bytes payload)

@cython.locals(
    octets="const unsigned char *",
    end=Py_ssize_t,
    start=Py_ssize_t,
    size=Py_ssize_t,
    at=Py_ssize_t,
    digit=int,
    count="long long",
)
cpdef long long acked_count(bytes payload) except -2

@cython.locals(
    octets="const unsigned char *",
    end=Py_ssize_t,
    position=Py_ssize_t,
    start=Py_ssize_t,
    found=int,
    key=int,
    member=int,
    octet="unsigned char",
)
cdef int _members(bytes payload, bytes kind, int deepest) except -1

@cython.locals(at=int, known=bytes)
cdef int _key(const unsigned char *octets, Py_ssize_t start, Py_ssize_t stop) except -2
