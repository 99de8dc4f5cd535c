//! Hostwright.
