//! Drives drywire machines on std::net sockets, one thread a connection.
