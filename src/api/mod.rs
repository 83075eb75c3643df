//! HTTP on loopback and on the control socket.
