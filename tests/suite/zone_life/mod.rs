//! A zone from its object to its records and back to nothing, on the real API server and each vendor's simulator.

mod cloudflare;
mod delegation;
mod ispconfig;
mod namespaces;
mod rivals;
