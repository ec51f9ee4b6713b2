# C types of fast_path.py, for the compiled build (setup.py).

cimport cython
from app.protocol.byte_checks cimport is_well_written
from app.protocol.json_scanner cimport (
    after_colon,
    after_scalar,
    after_space,
    after_value,
    is_at,
)

cdef int _DEEPEST
cdef int _NOTHING, _TYPE, _TIMESTAMP, _CONTENT, _NAME, _CONTENT_IS_TEXT, _WHOLE_MESSAGE
cdef int _EVENT, _KIND_SHIFT, _UNKNOWN
cdef bytes _ACKED
cdef Py_ssize_t _MOST_DIGITS, _SHORTEST_WORD
cdef int _NINE
cdef tuple _OF_VENDOR, _OF_BROWSER, _EVENTS, _KEYS
cdef unsigned char _QUOTE, _COMMA, _OPENING_BRACE, _CLOSING_BRACE, _OPENING_BRACKET, _ZERO

@cython.locals(found=int, kind=int)
cpdef int simple_type(bytes payload) except -2

@cython.locals(found=int)
cpdef bint is_simple_message(bytes payload) except -1

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
    found=int,
    which=int,
    member=int,
    word=bytes,
    octet="unsigned char",
)
cdef int _members(bytes payload, tuple kinds, int deepest) except -1

@cython.locals(
    at=Py_ssize_t,
    second="unsigned char",
    word=bytes,
    wanted="const unsigned char *",
)
cdef int _which(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, tuple words
) except -2
